"""A space that a model leaves as it is: from a unit embedding back to a latent of the encoder that made it.

Place in the flow: the end of training -> Lengths in best.ckpt and in exports; unit embedding, Lengths -> a latent with
the length that latents have there, as what was trained on such latents wants it.

Embeddings are of unit length, and latents are not: a generator of pictures was trained on vectors as its encoder gives
them. Their direction is that of the embedding, but for steps before the adapter, which are undone.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F

from fusemix.fusion.adapters import IDENTITY
from fusemix.fusion.model import FusionModel

LENGTHS = "lengths"
"""Fact of a checkpoint: modality -> Lengths, as plain data."""


class Lengths(NamedTuple):
    """How long latents of a modality are, over the items that a run was trained on.

    Attributes:
        mean: of their lengths.
        low, high: the 1st and the 99th percentile.
        prepared: mean length after the steps before the adapter.
    """

    mean: float
    low: float
    high: float
    prepared: float


def measured(model: FusionModel, modality: str, chunks: Iterable[Float[Tensor, "rows dim"]]) -> Lengths:
    """Lengths of latents.

    Args:
        model: whose preprocessing is fitted, on the device of the latents.
        modality: of the latents.
        chunks: latents as they come from the encoder, some at a time, at least one of them.
    """
    raw, prepared = [], []
    with torch.no_grad():
        for chunk in chunks:
            raw.append(chunk.double().norm(dim=1).cpu())
            prepared.append(model.prepare(modality, chunk).double().norm(dim=1).cpu())
    found = torch.cat(raw).numpy()
    low, high = np.percentile(found, [1, 99])
    return Lengths(float(found.mean()), float(low), float(high), float(torch.cat(prepared).mean()))


def fixed_modalities(config: Mapping[str, Any], dims: Mapping[str, Any]) -> list[str]:
    """Modalities whose latents are left as they are, from what a checkpoint says about its run.

    Args:
        config: settings of the run, as plain data.
        dims: modality -> widths of its encoders.
    """
    return [m for m in dims if config["adapters"].get(m, config["adapter"])["name"] == IDENTITY]


def can_be_undone(steps: Iterable[str], num_encoders: int) -> bool:
    """Whether steps before the adapter lose nothing but a length: `l2` of several encoders loses more than one."""
    return num_encoders == 1 or "l2" not in steps


def as_latents(
    model: FusionModel, modality: str, unit: Float32[np.ndarray, "rows dim"], lengths: Lengths, length: float
) -> Float32[np.ndarray, "rows dim"]:
    """Latents in the direction that unit embeddings stand for.

    Args:
        model: that leaves the modality as it is.
        modality: whose encoder the latents are like those of.
        unit: embeddings of unit length.
        lengths: of the modality.
        length: of what is returned.
    """
    with torch.no_grad():
        prepared = torch.from_numpy(unit).to(model.log_logit_scale.device) * lengths.prepared
        return (F.normalize(model.undo(modality, prepared), dim=1) * length).cpu().numpy()
