"""A step of a run's end: turn the embeddings of the best epoch onto their principal axes.

Place in the flow: FusionModel, LatentData -> embeddings of training items -> FusionModel, turned.
Not here: which matrix that is (fusion/rotation.py).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.config import TrainConfig
from fusemix.fusion.model import FusionModel
from fusemix.fusion.rotation import principal_axes, second_moment
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.loader import LatentData
from fusemix.wiring.training.data import sides_by_modality

MOST_ROWS = 50_000
"""Items of a modality that are looked at; more tell nothing new about a few hundred axes."""
ROWS_AT_ONCE = 8192
KEEPS_ITS_SPACE = "identity"
"""An adapter whose embeddings are vectors that exist already, in somebody's index, and stay as they are there."""


def turn(model: FusionModel, config: TrainConfig, data: LatentData) -> tuple[dict[str, Any], list[str]]:
    """Turn a model onto the principal axes of its training items, both modalities weighted alike.

    Returns:
        Facts for the checkpoint, and lines for people.
    """
    if any(config.adapters.get(modality, config.adapter).name == KEEPS_ITS_SPACE for modality in model.dims):
        return {}, [f"embeddings are not turned onto their principal axes, since {KEEPS_ITS_SPACE} keeps its space"]
    with torch.no_grad():
        axes = principal_axes([second_moment(_embedded(model, config, data, m)) for m in sides_by_modality(data)])
    model.turn(axes.float())
    return {"is_rotated": True}, []


def _embedded(
    model: FusionModel, config: TrainConfig, data: LatentData, modality: str
) -> Iterator[Float[Tensor, "rows width"]]:
    """Embeddings of the items of a modality that are trained on, or of a sample of them."""
    first = next(one for one in data.training_sets if modality in one.modalities)
    place, device = first.modalities.index(modality), model.log_logit_scale.device
    rows = distinct_rows(first.links.links[:, place])
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, MOST_ROWS, replace=False))
    for at in range(0, len(rows), ROWS_AT_ONCE):
        latents = torch.from_numpy(first.train.sides[place].take(rows[at : at + ROWS_AT_ONCE]))
        yield model.embed(modality, latents.to(device))
