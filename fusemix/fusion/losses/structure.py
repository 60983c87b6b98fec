"""Structure regulariser: what is alike before the adapter should be alike after it.

Place in the flow: latents and embeddings of one side -> a scalar that is added to the loss.
Rows are taken in runs and computed again for the gradient, so that no more similarities are held than a tile has.
"""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from fusemix.fusion.gathering import gathered_rows
from fusemix.fusion.losses.tiles import TILE, full_precision

Form = Literal["jensen_shannon", "published"]
"""Which divergence is taken, and of what; see `structure_divergence`."""


def structure_divergence(
    latents: Float[Tensor, "rows dim"],
    embeddings: Float[Tensor, "rows embedding_dim"],
    temperature: float,
    form: Form = "jensen_shannon",
) -> Float[Tensor, ""]:
    """Mean divergence, over items, between whom an item resembles before and after its adapter.

    Whom it resembles is the softmax, over the batch, of products divided by the temperature: P before, Q after, and M
    halfway between them.

    - `jensen_shannon` takes cosines, and [KL(P‖M) + KL(Q‖M)] / 2, the divergence of Jensen and Shannon.
    - `published` is what the authors' code computes: from unit rows the batch's mean is subtracted, and products of
      these are compared by [KL(M‖P) + KL(M‖Q)] / 2, which weighs more what one of them leaves out.

    Source: Gröger et al., "With Limited Data for Multimodal Alignment, Let the STRUCTURE Guide You", arXiv:2506.16895,
    with one level of the hierarchy, which is the authors' own setting. They take the mean over both sides, where here
    both are added up: their weight of 10 is 5 here.

    Args:
        latents: of own rows of the batch, of any length.
        embeddings: of the same items, unit length.
        temperature: above 0; the authors use 0.05.
        form: see above.

    Returns:
        At least 0, and at most log 2 where it is `jensen_shannon`; this process's part, whose mean over processes is
        that of the batch.
    """
    with torch.autocast(latents.device.type, enabled=False):
        before, after = full_precision(F.normalize(latents.detach().float(), dim=-1), embeddings)
        all_before, all_after = gathered_rows(before), gathered_rows(after)
        size = max(1, TILE.get(latents.device.type, TILE["cpu"]) ** 2 // len(all_after))
        total = torch.zeros_like(after[0, 0])
        for at in range(0, len(after), size):
            rows = slice(at, at + size)
            inputs: tuple[Any, ...] = (before[rows], all_before, after[rows], all_after, temperature, form)
            total = total + checkpoint(_divergences, *inputs, use_reentrant=False)
        return total / len(after)


def _divergences(
    before: Tensor, all_before: Tensor, after: Tensor, all_after: Tensor, temperature: float, form: Form
) -> Tensor:
    log_p = (_centred(before, all_before, form) @ all_before.T / temperature).log_softmax(dim=1)
    log_q = (_centred(after, all_after, form) @ all_after.T / temperature).log_softmax(dim=1)
    log_mean = torch.logaddexp(log_p, log_q) - math.log(2)
    if form == "published":
        return (log_mean.exp() * (2 * log_mean - log_p - log_q)).sum() / 2
    return (log_p.exp() * (log_p - log_mean) + log_q.exp() * (log_q - log_mean)).sum() / 2


def _centred(rows: Tensor, all_rows: Tensor, form: Form) -> Tensor:
    """Own rows, where it is due without the mean of all.

    From the rows that they are multiplied with it need not be taken: that adds one number to a whole row of products,
    which its softmax does not see.
    """
    return rows - all_rows.mean(dim=0) if form == "published" else rows
