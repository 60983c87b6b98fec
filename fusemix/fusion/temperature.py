"""The temperature that fits embeddings as they are, before anything is trained.

Place in the flow: a batch of training pairs, embedded -> where the learned temperature starts.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.fusion.model import MAX_TEMPERATURE, MIN_TEMPERATURE

GOLDEN = (math.sqrt(5) - 1) / 2
STEPS = 24
"""Of the search; each leaves 62 % of what is left, so that the temperature is found to a tenth of a percent."""


def best_temperature(left: Float[Tensor, "pairs dim"], right: Float[Tensor, "pairs dim"]) -> float:
    """The temperature in [0.001, 0.5] under which symmetric InfoNCE is least, by golden-section search.

    The loss is convex in the inverse of the temperature, so there is one least place.

    Args:
        left, right: embeddings of unit length, row i of the one belongs to row i of the other.
    """
    cosines = left.float() @ right.float().T
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    losses = [_info_nce(cosines, at) for at in inner]
    for _ in range(STEPS):
        if losses[0] < losses[1]:
            high = inner[1]
            inner = [high - GOLDEN * (high - low), inner[0]]
            losses = [_info_nce(cosines, inner[0]), losses[0]]
        else:
            low = inner[0]
            inner = [inner[1], low + GOLDEN * (high - low)]
            losses = [losses[1], _info_nce(cosines, inner[1])]
    return math.exp((low + high) / 2)


def _info_nce(cosines: Float[Tensor, "pairs pairs"], log_temperature: float) -> float:
    logits = cosines * math.exp(-log_temperature)
    ways = (logits.logsumexp(dim) - logits.diagonal() for dim in (0, 1))
    return float(torch.stack([way.mean() for way in ways]).double().mean())
