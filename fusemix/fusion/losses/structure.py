"""Structure regulariser: what is alike before the adapter should be alike after it.

Place in the flow: latents and embeddings of one side -> a scalar that is added to the loss.
Rows are taken in runs and computed again for the gradient, so that no more similarities are held than a tile has.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from fusemix.fusion.gathering import gathered_rows
from fusemix.fusion.losses.tiles import TILE, full_precision


def structure_divergence(
    latents: Float[Tensor, "rows dim"], embeddings: Float[Tensor, "rows embedding_dim"], temperature: float
) -> Float[Tensor, ""]:
    """Mean Jensen-Shannon divergence, over items, between whom an item resembles before and after its adapter.

    Whom it resembles is the softmax, over the batch, of its cosines divided by the temperature.
    Source: Gröger et al., "With Limited Data for Multimodal Alignment, Let the STRUCTURE Guide You", arXiv:2506.16895,
    with one level of the hierarchy, which is the authors' own setting.

    Args:
        latents: of own rows of the batch, of any length.
        embeddings: of the same items, unit length.
        temperature: above 0; the authors use 0.05.

    Returns:
        In [0, log 2]; this process's part, whose mean over processes is that of the batch.
    """
    with torch.autocast(latents.device.type, enabled=False):
        before, after = full_precision(F.normalize(latents.detach().float(), dim=-1), embeddings)
        all_before, all_after = gathered_rows(before), gathered_rows(after)
        size = max(1, TILE.get(latents.device.type, TILE["cpu"]) ** 2 // len(all_after))
        total = torch.zeros_like(after[0, 0])
        for at in range(0, len(after), size):
            rows = slice(at, at + size)
            inputs: tuple[Any, ...] = (before[rows], all_before, after[rows], all_after, temperature)
            total = total + checkpoint(_divergences, *inputs, use_reentrant=False)
        return total / len(after)


def _divergences(before: Tensor, all_before: Tensor, after: Tensor, all_after: Tensor, temperature: float) -> Tensor:
    log_p = (before @ all_before.T / temperature).log_softmax(dim=1)
    log_q = (after @ all_after.T / temperature).log_softmax(dim=1)
    log_mean = torch.logaddexp(log_p, log_q) - math.log(2)
    return (log_p.exp() * (log_p - log_mean) + log_q.exp() * (log_q - log_mean)).sum() / 2
