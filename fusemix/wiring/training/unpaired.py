"""Items without partners that a run learns from: latents of pictures that nobody captioned, of texts without pictures.

Place in the flow: `unpaired` of TrainConfig -> rows of latent sets -> the closed form, banks of hubs.
Whether they help, validation says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fusemix.config import TrainConfig
from fusemix.errors import ConfigError
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.galleries import SideItems
from fusemix.latents.overlap import shared_items
from fusemix.latents.sampling import sample
from fusemix.latents.sets import one_side
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.fitting import require_same_encoders

MOST = 20_000
"""Items of a modality: the comparison of all with all takes half a minute on two cores, and more add little."""


def unpaired_of(config: TrainConfig, training_set: TrainingSet) -> dict[str, SideItems]:
    """Modality -> the items that have no partner, of many so many; those with one are left out.

    Args:
        config: settings.
        training_set: the run's first set, whose pairs and held-out items they are told apart from.

    Raises:
        ConfigError: a set has no such modality, or no item that is neither trained nor validated on.
        RunError: its latents were made by other encoders.
    """
    return {modality: _items(modality, folder, config, training_set) for modality, folder in config.unpaired.items()}


def _items(modality: str, folder: str, config: TrainConfig, training_set: TrainingSet) -> SideItems:
    side = one_side(Path(folder), modality, config.encoders[modality])
    place = training_set.modalities.index(modality)
    known = training_set.train.sides[place]
    require_same_encoders(folder, modality, known.fingerprints, side, known.accepted)
    rows = np.flatnonzero(side.valid)
    if not len(rows):
        raise ConfigError(f"unpaired.{modality}: {folder} holds no {modality} item with latents.")
    with_partner = shared_items(known, distinct_rows(training_set.links.links[:, place]), SideItems(side, rows))
    if training_set.gallery is not None:
        held_out = training_set.gallery.of(training_set.validation)[place]
        with_partner |= shared_items(held_out.side, held_out.rows, SideItems(side, rows))
    if with_partner.all():
        raise ConfigError(
            f"unpaired.{modality}: all {len(rows):,} {modality} items of {folder} are trained or validated on as pairs "
            "already. Give a set of others, or leave it out."
        )
    return SideItems(side, sample(rows[~with_partner], MOST, config.seed))


def unpaired_record(unpaired: Mapping[str, SideItems]) -> dict[str, Any]:
    """What a run says of them in its checkpoints, as plain data; nothing where there are none."""
    if not unpaired:
        return {}
    about = {}
    for modality, items in unpaired.items():
        manifests = [store.manifest for store in items.side.stores]
        hashes = [manifest.fingerprint["items_sha256"] for manifest in manifests]
        about[modality] = {"items": hashes, "count": len(items)}
    return {"unpaired": about}
