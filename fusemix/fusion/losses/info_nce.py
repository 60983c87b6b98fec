"""Symmetric InfoNCE: each item should pick its partner out of the batch, both ways.

Place in the flow: embeddings of both sides -> a scalar.
The logits of a batch are never held whole: they are computed tile by tile, and again for the gradient, so that
memory grows with the batch and not with its square.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fusemix.interfaces import PairLoss

TILE = 2048
"""Rows and columns of logits that are held at a time: 16 MB in float32."""


def info_nce() -> PairLoss:
    """Mean of the cross-entropies left to right and right to left.

    Source: van den Oord et al., arXiv:1807.03748, in the symmetric form of Radford et al., arXiv:2103.00020.
    """
    return symmetric_info_nce


def symmetric_info_nce(
    left: Float[Tensor, "batch dim"], right: Float[Tensor, "batch dim"], logit_scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE over cosines times `logit_scale`.

    Args:
        left, right: unit length; row i of one belongs to row i of the other.
        logit_scale: 1 / temperature, already exponentiated.

    Returns:
        At least 0; log(batch) where nothing is told apart.
    """
    with torch.autocast(left.device.type, enabled=False):  # bfloat16 would round logits of 14 to steps of 0.06
        left, right = (side.to(torch.promote_types(side.dtype, torch.float32)) for side in (left, right))
        of_partners = (left * right).sum(dim=1)
        return _MeanLogSum.apply(left, right, logit_scale) - logit_scale * of_partners.mean()


class _MeanLogSum(torch.autograd.Function):
    """Mean, over all rows and all columns of the logits, of the logarithm of the sum of their exponentials.

    With p the softmax of a logit within its row and q that within its column, its gradient is (p + q) / (2 · batch).
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, logit_scale: Tensor) -> Tensor:
        of_rows, of_columns = log_sums(left, right, logit_scale)
        ctx.save_for_backward(left, right, logit_scale, of_rows, of_columns)
        return (of_rows.mean() + of_columns.mean()) / 2

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator hides the names
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        left, right, logit_scale, of_rows, of_columns = ctx.saved_tensors
        for_left, for_right = torch.zeros_like(left), torch.zeros_like(right)
        for_scale = torch.zeros_like(logit_scale)
        for rows, columns in tiles(len(left)):
            cosines = left[rows] @ right[columns].T
            logits = cosines * logit_scale
            weights = (logits - of_rows[rows, None]).exp_()
            weights += logits.sub_(of_columns[columns]).exp_()
            for_scale += torch.dot(weights.flatten(), cosines.flatten())
            for_left[rows].addmm_(weights, right[columns])
            for_right[columns].addmm_(weights.T, left[rows])
        factor = gradients[0] / (2 * len(left))
        return for_left * (factor * logit_scale), for_right * (factor * logit_scale), for_scale * factor


def log_sums(
    left: Float[Tensor, "batch dim"], right: Float[Tensor, "batch dim"], logit_scale: Float[Tensor, ""]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Logarithm of the sum of the exponentials of each row, and of each column, of the logits."""
    of_rows = left.new_full((len(left),), -torch.inf)
    of_columns = of_rows.clone()
    for rows, columns in tiles(len(left)):
        logits = (left[rows] @ right[columns].T).mul_(logit_scale)
        of_rows[rows] = torch.logaddexp(of_rows[rows], logits.logsumexp(dim=1))
        of_columns[columns] = torch.logaddexp(of_columns[columns], logits.logsumexp(dim=0))
    return of_rows, of_columns


def tiles(batch: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile of a square of logits."""
    parts = [slice(at, at + TILE) for at in range(0, batch, TILE)]
    return ((rows, columns) for rows in parts for columns in parts)
