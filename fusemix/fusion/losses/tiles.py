"""Contrastive losses tile by tile: no more logits are held than one tile has, forwards and backwards.

Place in the flow: embeddings -> logits of a tile -> sums; embeddings and weights of a tile -> gradients.
A loss says how a tile's logits weigh in the gradient; what is done with the weights is the same for all. What partners
add or take is done on the tile itself: two products that round otherwise would not cancel.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.fusion.gathering import own_rank

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


class Partners(NamedTuple):
    """Which logits are of partners: own left item i and row i of each block of own right items.

    Attributes:
        rows: own left items.
        positives: blocks of right items, each as long as the left side.
        first: the column that own right items begin at, among those of all processes.
    """

    rows: int
    positives: int
    first: int

    @property
    def columns(self) -> slice:
        """Of own right items."""
        return slice(self.first, self.first + self.positives * self.rows)

    def within(self, logits: Tensor, rows: slice, columns: slice) -> Iterator[tuple[int, slice, Tensor]]:
        """Partners in a tile of logits: block, own left rows, and a view on the logits that these are partners in."""
        for block in range(self.positives):
            ahead = rows.start + self.first + block * self.rows - columns.start
            if -logits.shape[0] < ahead < logits.shape[1]:
                view = logits.diagonal(ahead)
                start = rows.start + max(0, -ahead)
                yield block, slice(start, start + len(view)), view


def partners_of(left: Float[Tensor, "rows dim"], right: Float[Tensor, "own dim"]) -> Partners:
    """Partners among own items, of which each process has as many.

    Args:
        left: row i is item i.
        right: `positives` blocks as long as `left`; row i of each block belongs to item i.

    Raises:
        ValueError: the right side is no multiple of the left one.
    """
    if len(left) == 0 or len(right) % len(left):
        raise ValueError(f"{len(right)} right rows are no multiple of {len(left)} left rows")
    return Partners(len(left), len(right) // len(left), own_rank() * len(right))


def logits_by_tile(
    left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"], logit_scale: Float[Tensor, ""]
) -> Iterator[tuple[slice, slice, Float[Tensor, "some others"]]]:
    """Rows, columns and logits of one tile after the other; the same numbers whenever it is asked.

    The factor goes into the left side, so that no pass over the logits is spent on it.
    """
    scaled = left * logit_scale
    for rows, columns in tiles(len(left), len(right), left.device.type):
        yield rows, columns, scaled[rows] @ right[columns].T


def gradients(
    left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"], logit_scale: Float[Tensor, ""], weigh: Weigh
) -> Gradients:
    """Gradient of a loss from its derivative by each logit, `logit_scale` times a cosine; see `Weigh`.

    With W the derivatives, that by the factor is the sum of W times cosines: of left rows times their rows of W·right.
    """
    for_left, for_right = torch.zeros_like(left), torch.zeros_like(right)
    for rows, columns, logits in logits_by_tile(left, right, logit_scale):
        weights = weigh(logits, rows, columns)
        for_left[rows].addmm_(weights, right[columns])
        for_right[columns].addmm_(weights.T, left[rows])
    for_scale = torch.dot(for_left.flatten(), left.flatten())
    return Gradients(for_left.mul_(logit_scale), for_right.mul_(logit_scale), for_scale)
