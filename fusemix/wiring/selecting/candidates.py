"""What is chosen among: the items of one side that have links, and the links that chosen items bring.

Place in the flow: LatentSet -> Candidates -> methods.py.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from fusemix.errors import ConfigError, LatentStoreError
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.galleries import SideItems
from fusemix.latents.sets import LatentSet
from fusemix.models.cached import unit_latents


@dataclass(frozen=True)
class Candidates:
    """Items of a side that links name.

    Attributes:
        latent_set: they are of.
        place: 0 for its left side, 1 for its right.
        rows: of the items, in ascending order.
    """

    latent_set: LatentSet
    place: int
    rows: Int64[np.ndarray, " items"]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def modality(self) -> str:
        """Of the side."""
        return self.latent_set.sides[self.place].modality

    @property
    def dim(self) -> int:
        """Width of the latents that are compared."""
        return self.latent_set.sides[self.place].dim

    def unit(self, positions: Int64[np.ndarray, " some"] | None = None) -> Float32[np.ndarray, "some dim"]:
        """Unit latents of some of them, by position; of all by default.

        Raises:
            LatentStoreError: some are NaN or infinite.
        """
        rows = self.rows if positions is None else self.rows[positions]
        found = unit_latents(SideItems(self.latent_set.sides[self.place], rows)).numpy()
        if not np.isfinite(found.sum()):
            raise LatentStoreError(
                f"{self.latent_set.items_folder} has {self.modality} latents with NaN or infinity, which it does not "
                "list. Read it back with fusemix verify, and cache what is damaged again."
            )
        return found

    def links_of(
        self, positions: Int64[np.ndarray, " some"], size: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, " size"]:
        """Places of links: one of each chosen item, at random, and then others at random until there are enough.

        Args:
            positions: chosen items, best first.
            size: links; those of the first items where there are more items.
            rng: draws.
        """
        links = self.latent_set.links
        order = rng.permutation(len(links))
        items = np.searchsorted(self.rows, links[order, self.place])
        first = np.full(len(self.rows), -1)
        first[items[::-1]] = order[::-1]
        taken = first[positions[:size]]
        rest = order[~np.isin(order, taken)][: size - len(taken)]
        return np.sort(np.concatenate([taken, rest]))


def candidates(latent_set: LatentSet, modality: str | None) -> Candidates:
    """The items of a side that links name.

    Args:
        latent_set: opened with the latents to compare.
        modality: of the side; None: the left one.

    Raises:
        ConfigError: the set has no such side, or that side no latents.
    """
    there = [side.modality for side in latent_set.sides]
    if modality is not None and modality not in there:
        raise ConfigError(f"modality is {modality!r}, but {latent_set.folder} pairs {' with '.join(there)}.")
    place = 0 if modality is None else there.index(modality)
    if not latent_set.sides[place].stores:
        raise ConfigError(f"{latent_set.folder} has no {there[place]} latents to compare. Cache some, or use uniform.")
    return Candidates(latent_set, place, distinct_rows(latent_set.links[:, place]))
