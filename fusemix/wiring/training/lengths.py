"""A step of a run's end: how long the latents are that an adapter leaves as they are.

Place in the flow: FusionModel, LatentData -> latents of training items -> facts for the checkpoint.
Not here: what they are for (models/fixed_space.py). Nothing of the model is changed.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.config import TrainConfig, to_plain
from fusemix.fusion.model import FusionModel
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.loader import LatentData
from fusemix.latents.sampling import sample
from fusemix.models.fixed_space import LENGTHS, can_be_undone, fixed_modalities, measured

MOST_ROWS = 50_000
"""Items of a modality that are looked at; percentiles of more are the same to three digits."""
ROWS_AT_ONCE = 8192


def note_lengths(model: FusionModel, config: TrainConfig, data: LatentData) -> tuple[dict[str, Any], list[str]]:
    """Measure what embeddings have lost, where it can be given back.

    Returns:
        Facts for the checkpoint, and lines for people.
    """
    found, told = {}, []
    for modality in fixed_modalities(to_plain(config), model.dims):
        if can_be_undone(config.preprocess, len(model.dims[modality])):
            lengths = measured(model, modality, _latents(model, config, data, modality))
            found[modality] = lengths._asdict()
            told.append(
                f"{modality} latents, which stay as they are, are {lengths.mean:.4g} long on average, and 98 % of them "
                f"from {lengths.low:.4g} to {lengths.high:.4g}"
            )
    return ({LENGTHS: found} if found else {}), told


def _latents(
    model: FusionModel, config: TrainConfig, data: LatentData, modality: str
) -> Iterator[Float[Tensor, "rows dim"]]:
    """Of the items of a modality that are trained on, or of a sample of them."""
    first = next(one for one in data.training_sets if modality in one.modalities)
    place, device = first.modalities.index(modality), model.log_logit_scale.device
    rows = sample(distinct_rows(first.links.links[:, place]), MOST_ROWS, config.seed)
    for at in range(0, len(rows), ROWS_AT_ONCE):
        yield torch.from_numpy(first.train.sides[place].take(rows[at : at + ROWS_AT_ONCE])).to(device)
