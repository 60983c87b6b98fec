"""A latent set: item tables, links and latent stores of one pair set.

Place in the flow: a folder that set_writer.py has written and encoders have filled -> LatentSet.

Files of a set:
    set.json                 sealed last
    items-<modality>.parquet row order is the truth
    links.parquet            left_row, right_row, and times where a caption stands twice on one item
    quarantine.jsonl         what the data set named but could not give
    <modality>/<encoder>/    latent stores
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int64

from fusemix.errors import ConfigError, LatentStoreError
from fusemix.latents import links as link_file
from fusemix.latents.description import ITEMS_OF, SET, items_folder, read_description
from fusemix.latents.item_tables import (
    read_sealed_table,
)
from fusemix.latents.links import LINKS, LinkTable
from fusemix.latents.manifest import MANIFEST, Accepted
from fusemix.latents.quarantine import read_quarantine
from fusemix.latents.store import LatentStore, concatenated
from fusemix.split_names import folder_meant


@dataclass(frozen=True)
class Side:
    """One side of a latent set, with the latents chosen for it.

    Attributes:
        modality: of the items.
        num_items: rows, with or without latents.
        stores: latent stores, concatenated in this order.
        folder: of the items and stores.
        named: says which items links of a subset name; None where all items take part.
    """

    modality: str
    num_items: int
    stores: tuple[LatentStore, ...]
    folder: Path
    named: Callable[[], Bool[np.ndarray, " items"]] | None = None

    def __len__(self) -> int:
        return self.num_items

    @cached_property
    def table(self) -> pa.Table:
        """Item table; read when it is first asked for."""
        path = self.folder / f"items-{self.modality}.parquet"
        return read_sealed_table(path, self.num_items)

    @cached_property
    def valid(self) -> Bool[np.ndarray, " items"]:
        """False where an item has no latent in one of the stores, or is not in the subset."""
        return self.has_latents if self.named is None else self.has_latents & self.named()

    @property
    def num_lacking(self) -> int:
        """Items that take part and have no latent in one of the stores."""
        lacking = ~self.has_latents
        return int((lacking if self.named is None else lacking & self.named()).sum())

    @cached_property
    def has_latents(self) -> Bool[np.ndarray, " items"]:
        """Whether an item has a latent in each of the stores."""
        valid = np.ones(self.num_items, dtype=bool)
        for store in self.stores:
            if store.manifest.num_rejected:
                ids = self.table["id"]
                rejected = pa.array([rejected.id for rejected in read_quarantine(store.folder)], ids.type)
                valid &= ~pc.call_function("is_in", [ids], pc.SetLookupOptions(rejected)).to_numpy()
        return valid

    @property
    def dims(self) -> list[int]:
        """Width of each store's latents."""
        return [store.dim for store in self.stores]

    @property
    def dim(self) -> int:
        """Width of the concatenated latents."""
        return sum(self.dims)

    @property
    def dtype(self) -> np.dtype:
        """Of the concatenated latents."""
        return np.result_type(*(store.manifest.dtype for store in self.stores))

    @property
    def fingerprints(self) -> list[dict[str, Any]]:
        """What made the latents, in order."""
        return [store.fingerprint for store in self.stores]

    @property
    def accepted(self) -> list[tuple[Accepted, ...]]:
        """What a user has accepted as equal in effect to fields of these fingerprints, store by store."""
        return [store.manifest.accepted for store in self.stores]

    def take(self, rows: Int64[np.ndarray, " n"]) -> Float[np.ndarray, "n dim"]:
        """Latents of some rows, gathered in one call."""
        return concatenated(self.stores, rows)

    def release(self) -> None:
        """Let go of the latents that are mapped into memory, after a pass over all of them."""
        for store in self.stores:
            store.release()


class LatentArrays(NamedTuple):
    """A latent set in memory.

    Attributes:
        left, right: latents of the two sides, in the dtype of their stores; those of several encoders side by side, and
            NaN in the row of an item that has none.
        links: (left row, right row) of what belongs together and has latents on both sides.
    """

    left: Float[np.ndarray, "left left_dim"]
    right: Float[np.ndarray, "right right_dim"]
    links: Int64[np.ndarray, "links 2"]


class LatentSet:
    """A latent set, opened with chosen encoders.

    Opening takes milliseconds, also with millions of items: tables and links are read when they are asked for.

    Args:
        folder: of the set.
        encoders: modality -> names of latent stores, concatenated in this order; None takes all that are there, by
            name.

    Attributes:
        folder: of the set.
        items_folder: of its items and stores; of a subset it is that of another set.
        left, right: the sides.
        description: content of `set.json`.

    Raises:
        LatentStoreError: the set or a store is missing, unfinished, damaged, or belongs to other items.
        ConfigError: a modality has no encoder.
    """

    def __init__(self, folder: str | Path, encoders: Mapping[str, Sequence[str]] | None = None) -> None:
        self.folder = folder = folder_meant(Path(folder))
        path = folder / SET
        if not path.is_file():
            raise LatentStoreError(f"{folder} has no {SET}, so it is no latent set. Run cache_features.py first.")
        self.description = read_description(path)
        self.items_folder = items_folder(folder, self.description)
        self.left = self._side("left", encoders)
        self.right = self._side("right", encoders)

    def __repr__(self) -> str:
        sides = " × ".join(f"{len(side):,} {side.modality} ({_named(side)})" for side in self.sides)
        return f"fusemix.LatentSet({str(self.folder)!r}: {sides}, {self.description['num_links']:,} links)"

    def numpy(self) -> LatentArrays:
        """All latents and links, in memory.

        Returns:
            `left`, `right`, `links`; a side without encoders is (items, 0).

        Raises:
            LatentStoreError: no pair has latents on both sides, or a file is damaged.

        In the example, `latents` is the folder of a set of 36 pictures and their captions.

        >>> arrays = LatentSet(latents).numpy()
        >>> len(arrays.left), arrays.links.shape
        (36, (36, 2))
        """
        left, right = (
            side.take(np.arange(len(side))) if side.stores else np.empty((len(side), 0), np.float32)
            for side in self.sides
        )
        return LatentArrays(left, right, self.links)

    @property
    def links(self) -> Int64[np.ndarray, "links 2"]:
        """(left row, right row) between items that have latents on both sides; see `link_table`."""
        return self.link_table.links

    @cached_property
    def link_table(self) -> LinkTable:
        """Links between items that have latents on both sides, and how often each was written.

        Raises:
            LatentStoreError: there are none, or some name items that the set does not have.
        """
        links, times = self._sealed_links
        usable = self.left.has_latents[links[:, 0]] & self.right.has_latents[links[:, 1]]
        if not usable.any():
            raise LatentStoreError(
                f"{self.folder}: no pair has latents on both sides. See quarantine.jsonl of the stores."
            )
        if usable.all():
            return LinkTable(links, times)
        return LinkTable(links[usable], None if times is None else times[usable])

    @cached_property
    def _sealed_links(self) -> LinkTable:
        links, times = link_file.read_sealed_links(self.folder / LINKS, self.description)
        sizes = [self.description[which]["num_items"] for which in ("left", "right")]
        if len(links) and (links.min() < 0 or (links.max(axis=0) >= sizes).any()):
            raise LatentStoreError(f"{self.folder / LINKS} names items that the set does not have. Make the set again.")
        return LinkTable(links, times)

    @property
    def is_subset(self) -> bool:
        """Whether its items and latents lie in another set, of whose links it has some."""
        return ITEMS_OF in self.description

    @property
    def sides(self) -> tuple[Side, Side]:
        """Left, then right."""
        return self.left, self.right

    @property
    def name(self) -> str:
        """Data set and split, for people."""
        return f"{self.description['dataset']}/{self.description['split']}"

    @property
    def num_unusable(self) -> int:
        """What the data set named and could not give, and items without latent."""
        return self.description["num_excluded"] + sum(side.num_lacking for side in self.sides)

    def _side(self, which: str, encoders: Mapping[str, Sequence[str]] | None) -> Side:
        about, folder = self.description[which], self.items_folder
        modality = about["modality"]
        if encoders is None:
            encoders = {modality: sorted(path.parent.name for path in folder.glob(f"{modality}/*/{MANIFEST}"))}
        if modality not in encoders:
            raise ConfigError(
                f"{self.folder} pairs {self.description['left']['modality']} with "
                f"{self.description['right']['modality']}, but encoders names only: {', '.join(encoders)}."
            )
        stores = tuple(LatentStore(folder / modality / slug) for slug in encoders[modality])
        for store in stores:
            if store.manifest.fingerprint["items_sha256"] != about["sha256"]:
                raise LatentStoreError(
                    f"{store.folder} was made from other items than {self.folder / SET} names. "
                    "Cache it again with overwrite=true."
                )
        named = partial(self._named, ("left", "right").index(which)) if self.is_subset else None
        return Side(modality, about["num_items"], stores, folder, named)

    def _named(self, place: int) -> Bool[np.ndarray, " items"]:
        """Which items of a side the links name."""
        found = np.zeros(len(self.sides[place]), dtype=bool)
        found[self._sealed_links.links[:, place]] = True
        return found


def set_of_one_side(folder: Path, modality: str, encoders: Sequence[str]) -> LatentSet:
    """A set of which one side counts, opened without latents of the other.

    Args:
        folder: of the set.
        modality: of that side.
        encoders: names of its latent stores.

    Raises:
        ConfigError: the set has no side of that modality.
        LatentStoreError: it is missing or damaged.
    """
    path = folder_meant(folder) / SET
    here = [read_description(path)[side]["modality"] for side in ("left", "right")] if path.is_file() else []
    if here and modality not in here:
        raise ConfigError(f"{folder} pairs {' with '.join(here)}, and has no {modality} items.")
    return LatentSet(folder, {**dict.fromkeys(here, ()), modality: encoders})


def one_side(folder: Path, modality: str, encoders: Sequence[str]) -> Side:
    """The side of a set that has a modality; see `set_of_one_side`."""
    return next(s for s in set_of_one_side(folder, modality, encoders).sides if s.modality == modality)


def _named(side: Side) -> str:
    return ", ".join(f"{store.manifest.encoder} {store.dim}" for store in side.stores) or "no latents"
