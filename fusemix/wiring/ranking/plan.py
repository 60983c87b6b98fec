"""What is compared: the stores of a latent set, and pairs of its items of which no two share one.

Place in the flow: RankConfig -> Plan -> scores.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from fusemix.config.ranking import FEWEST_PAIRS, RankConfig
from fusemix.errors import ConfigError, LatentStoreError
from fusemix.latents.description import SET, items_folder, read_description
from fusemix.latents.labels import Labels, labels_of
from fusemix.latents.manifest import MANIFEST
from fusemix.latents.one_to_one import one_to_one
from fusemix.latents.sets import LatentSet
from fusemix.parts.registry import nearest
from fusemix.reports.standing import without_packages
from fusemix.split_names import folder_meant


class Plan(NamedTuple):
    """What is compared.

    Attributes:
        config: the settings.
        latent_set: opened with all stores that are compared.
        pairs: (left row, right row), each row once.
        labels: of the pairs, or why there are none.
    """

    config: RankConfig
    latent_set: LatentSet
    pairs: Int64[np.ndarray, "pairs 2"]
    labels: Labels | str

    def about(self) -> dict[str, Any]:
        """What is compared, as plain data: what another ranking of the same would have, too."""
        about, config = self.latent_set.description, self.config
        stores = {
            side.modality: {store.folder.name: without_packages(store.fingerprint) for store in side.stores}
            for side in self.latent_set.sides
        }
        settings = {name: getattr(config, name) for name in ("num_pairs", "k", "labels", "seed")}
        data = {name: about[name] for name in ("dataset", "split", "revision")}
        return {"data": data, "links_sha256": about["links_sha256"], "stores": stores, "settings": settings}


def plan_of(config: RankConfig) -> Plan:
    """Open the set and draw pairs.

    Raises:
        ConfigError: a store or a column is not there, a side has none, or k is too large.
        LatentStoreError: the set is missing or damaged, or has too few pairs.
    """
    folder = folder_meant(Path(config.latents))
    if not (folder / SET).is_file():
        raise LatentStoreError(f"{folder} has no {SET}, so it is no latent set. Run cache_features.py first.")
    description = read_description(folder / SET)
    modalities = [description[side]["modality"] for side in ("left", "right")]
    stores = items_folder(folder, description)
    latent_set = LatentSet(folder, _chosen(stores, modalities, config.encoders))
    pairs = one_to_one(latent_set.links, config.num_pairs, config.seed)
    if len(pairs) < FEWEST_PAIRS:
        raise LatentStoreError(
            f"{folder} has {len(latent_set.links):,} links, and among them {len(pairs):,} of which no two share an "
            f"item. Fewer than {FEWEST_PAIRS} tell nothing; take a larger set."
        )
    if config.k > len(pairs) - 2:
        raise ConfigError(
            f"k={config.k} neighbours cannot be found among {len(pairs):,} pairs, of which each has {len(pairs) - 1:,} "
            f"others. Set k to {len(pairs) - 2} or less."
        )
    return Plan(config, latent_set, pairs, labels_of(latent_set, pairs, config.labels))


def _chosen(folder: Path, modalities: list[str], encoders: Mapping[str, list[str]]) -> dict[str, list[str]]:
    for modality in encoders:
        if modality not in modalities:
            raise ConfigError(
                f"encoders.{modality}: {folder} pairs {' with '.join(modalities)}.{nearest(modality, modalities)}"
            )
    chosen = {}
    for modality in modalities:
        known = sorted(path.parent.name for path in folder.glob(f"{modality}/*/{MANIFEST}"))
        if not known:
            raise ConfigError(
                f"{folder} has no finished latents of its {modality} items, so there is nothing to compare. Cache them "
                "with cache_features.py, or take them in with fusemix import."
            )
        chosen[modality] = encoders.get(modality, known)
        for name in chosen[modality]:
            if name not in known:
                raise ConfigError(
                    f"encoders.{modality}: {folder} has no store {name!r}.{nearest(name, known)} Stores: "
                    f"{', '.join(known)}."
                )
    return chosen
