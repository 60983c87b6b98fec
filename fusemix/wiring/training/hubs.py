"""The hubs of a run: banks out of its training items, and how strongly validation wants them corrected.

Place in the flow: model of the best epoch, LatentData -> hubs.safetensors in the run folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fusemix.encoders.loading import weights_sha256
from fusemix.errors import RunError
from fusemix.fusion.model import FusionModel
from fusemix.fusion.runs import HUBS
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.galleries import SideItems, sampled
from fusemix.latents.loader import LatentData
from fusemix.latents.sampling import sample
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.cached import embed
from fusemix.models.hubs import Hubs, read_hubs, write_hubs
from fusemix.retrieval.hub_correction import Fitted, fitted_strengths
from fusemix.tables import percent

BANK = 10_000
"""Items of a modality in its bank, at most."""
FITTED_ON = 5_000
"""Held-out items of a side that strengths are chosen on, at most."""
KS = (1, 5, 10)


def keep_hubs(place: Path, model: FusionModel, data: LatentData, seed: int) -> list[str]:
    """Write what the run knows of its hubs, where that is not there yet; returns lines for people.

    Args:
        place: run folder.
        model: of its best checkpoint, in evaluation mode, on the device to compute on.
        data: its sets.
        seed: of what is drawn for banks.

    Raises:
        RunError: the model gives NaN or infinity for some items.
    """
    sha256 = weights_sha256(model)
    if _are_there(place / HUBS, sha256, model.width):
        return []
    device = model.log_logit_scale.device
    banks = _banks(model, data, seed, device)
    fitted: dict[str, Fitted] = {}
    for training_set in data.training_sets:
        if training_set.gallery is not None:
            fitted |= _fitted(model, training_set, banks, seed, device)
    strengths = {direction: found.strength for direction, found in fitted.items()}
    write_hubs(place / HUBS, Hubs(banks, strengths), sha256)
    return [_told(fitted)]


def _are_there(path: Path, sha256: str, width: int) -> bool:
    try:
        return read_hubs(path, sha256, width) is not None
    except RunError:  # of an epoch that was the best one before
        return False


def _banks(model: FusionModel, data: LatentData, seed: int, device: torch.device) -> dict[str, Tensor]:
    """Embeddings of training items that were drawn, by modality; of several sets, the first one's."""
    banks: dict[str, Tensor] = {}
    for training_set in data.training_sets:
        for side, column in zip(training_set.train.sides, training_set.links.links.T, strict=True):
            if side.modality not in banks:
                items = [SideItems(side, distinct_rows(column))]
                if side.modality in data.unpaired:
                    items.append(data.unpaired[side.modality])
                banks[side.modality] = _bank(model, items, seed, str(device))
    return banks


def _bank(model: FusionModel, items: Sequence[SideItems], seed: int, device: str) -> Tensor:
    """Of all items together so many, each as likely as any other."""
    owner = np.repeat(np.arange(len(items)), [len(some) for some in items])
    place = np.concatenate([np.arange(len(some)) for some in items])
    drawn = sample(np.arange(len(owner)), BANK, seed)
    parts = [SideItems(some.side, some.rows[place[drawn][owner[drawn] == number]]) for number, some in enumerate(items)]
    return torch.cat([embed(model, part, device) for part in parts if len(part)]).half()


def _fitted(
    model: FusionModel, training_set: TrainingSet, banks: Mapping[str, Tensor], seed: int, device: torch.device
) -> dict[str, Fitted]:
    """What validation says of both directions of a set."""
    assert training_set.gallery is not None, "asked before"
    gallery = sampled(training_set.gallery, FITTED_ON, seed)
    left, right = (embed(model, items, str(device)).to(device) for items in gallery.of(training_set.validation))
    one, other = training_set.modalities
    bank, other_bank = (banks[modality].to(left) for modality in (one, other))
    ks = [k for k in KS if k <= min(len(left), len(right))]
    found = fitted_strengths((left, right), gallery.links, (bank, other_bank), ks)
    return dict(zip((f"{one}_to_{other}", f"{other}_to_{one}"), found, strict=True))


def _told(fitted: Mapping[str, Fitted]) -> str:
    helped = [
        f"{direction.replace('_', ' ')} {percent(found.plain)} → {percent(found.corrected)} "
        f"(alpha {found.strength.alpha:g}, beta {found.strength.beta:g})"
        for direction, found in fitted.items()
        if found.strength.alpha > 0
    ]
    if not helped:
        return "hubs: no correction helps on validation, so none is used"
    return f"hubs corrected, sum of recalls on validation: {', '.join(helped)}"
