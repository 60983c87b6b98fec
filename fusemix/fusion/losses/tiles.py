"""Contrastive losses tile by tile: no more logits are held than one tile has, forwards and backwards.

Place in the flow: embeddings -> logits of a tile -> sums; embeddings and weights of a tile -> gradients.
A loss says how a tile's logits weigh in the gradient; what is done with the weights is the same for all.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

TILE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of logits that are held at a time, by kind of device: 16 and 256 MB in float32."""

Weigh = Callable[[Tensor, slice, slice], Tensor]
"""Logits, rows, columns -> the derivative of the loss by each logit. May overwrite the logits."""


class Gradients(NamedTuple):
    """Of a loss, by both sides and by the factor on their products."""

    left: Float[Tensor, "rows dim"]
    right: Float[Tensor, "columns dim"]
    logit_scale: Float[Tensor, ""]


def tiles(rows: int, columns: int, device: str) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile of a rectangle of logits."""
    size = TILE.get(device, TILE["cpu"])
    for top in range(0, rows, size):
        for first in range(0, columns, size):
            yield slice(top, min(top + size, rows)), slice(first, min(first + size, columns))


def full_precision(*values: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], ...]:
    """The widest of their dtypes, float32 at least: bfloat16 would round logits of 14 to steps of 0.06."""
    dtype = reduce(torch.promote_types, (value.dtype for value in values), torch.float32)
    return tuple(value.to(dtype) for value in values)


def partner_cosines(
    left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"]
) -> Float[Tensor, "positives rows"]:
    """Cosine of each left item with each of its own right items.

    Args:
        left: row i is item i.
        right: `positives` blocks as long as `left`; row i of each block belongs to item i.

    Raises:
        ValueError: the right side is no multiple of the left one.
    """
    if len(left) == 0 or len(right) % len(left):
        raise ValueError(f"{len(right)} right rows are no multiple of {len(left)} left rows")
    return torch.einsum("rd,prd->pr", left, right.view(-1, *left.shape))


def gradients(
    left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"], logit_scale: Float[Tensor, ""], weigh: Weigh
) -> Gradients:
    """Gradient of a loss from its derivative by each logit, `logit_scale` times a cosine; see `Weigh`."""
    for_left, for_right, for_scale = torch.zeros_like(left), torch.zeros_like(right), torch.zeros_like(logit_scale)
    for rows, columns in tiles(len(left), len(right), left.device.type):
        cosines = left[rows] @ right[columns].T
        weights = weigh(cosines * logit_scale, rows, columns)
        for_scale += torch.dot(weights.flatten(), cosines.flatten())
        for_left[rows].addmm_(weights, right[columns])
        for_right[columns].addmm_(weights.T, left[rows])
    return Gradients(for_left * logit_scale, for_right * logit_scale, for_scale)
