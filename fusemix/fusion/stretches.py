"""Rows of a large batch a stretch at a time, so that what is held does not grow with the batch.

Place in the flow: prepared latents -> stretches -> adapter -> embeddings of the whole batch.

How a batch is cut depends on its size alone, never on the machine: dropout draws the same masks, and sums are formed in
the same order, whether what a stretch computes is kept for its gradient or computed a second time (Chen et al.,
"Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

ROWS = 20_480
"""Of a stretch, at the most: the paper's batch goes through in one piece."""


def num_stretches(num_rows: int) -> int:
    """Into how many a batch is cut: a power of two, so that they are of one length wherever that can be.

    >>> [num_stretches(rows) for rows in (1, 20_480, 20_481, 262_144)]
    [1, 1, 2, 16]
    """
    number = 1
    while number * ROWS < num_rows:
        number *= 2
    return number


def by_stretches(
    function: Callable[[Tensor], Tensor], rows: Float[Tensor, "rows dim"], *, again: bool
) -> Float[Tensor, "rows width"]:
    """What a function makes of rows, each on its own.

    Args:
        function: that makes of each row what it would make of it among others.
        rows: of a batch.
        again: compute each stretch a second time for its gradient, and hold nothing but its rows in the meantime.
    """
    number, kind = num_stretches(len(rows)), rows.device.type
    if number == 1 and not again:
        return function(rows)
    # Autocast would keep one copy of a weight in half precision for all stretches, and add their gradients up in it:
    # with 32 stretches in bfloat16 the error of a gradient was 2.5 times that of the whole batch. This way it is less.
    own_casts = torch.autocast(
        kind, dtype=torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
    )
    with own_casts:
        return torch.cat(
            [
                checkpoint(function, part, use_reentrant=False) if again else function(part)
                for part in rows.chunk(number)
            ]
        )


def without_gradient(
    function: Callable[[Tensor], Tensor], rows: Float[Tensor, "rows dim"]
) -> Float[Tensor, "rows width"]:
    """The same of a function that nothing is learned in: beside rows and result no more than a stretch is held."""
    number = num_stretches(len(rows))
    if number == 1:
        return function(rows)
    first, *more = rows.chunk(number)
    made = function(first)
    found = made.new_empty(len(rows), made.shape[1])
    found[: len(made)] = made
    at = len(made)
    for part in more:
        found[at : at + len(part)] = function(part)
        at += len(part)
    return found
