"""How much memory a training step takes, before it is taken.

Place in the flow: adapters, sizes of a batch -> bytes -> where latents live, and whether activations are held.

What an adapter holds for its gradient is counted, on a few rows, where it is going to run: so it is right for any
adapter, precision and device. The rest follows from sizes.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from fusemix.fusion.losses.tiles import TILE
from fusemix.fusion.stretches import num_stretches

FEW, MORE = 3, 7
"""Rows that an adapter is tried with; what it holds grows in a line."""
BESIDE_WEIGHTS = 3
"""Numbers that training takes beside each weight: its gradient, and AdamW's two means; processes send one more."""
EMBEDDINGS = 10
"""Tensors as large as a side's embeddings in a loss: both, what they were before, and three gradients of each."""
GRADIENTS = 4
"""The same where the loss is done: embeddings, and their gradients."""
TILES, TILES_OF_STRUCTURE = 4, 8
"""Tiles of logits that are held at a time."""
UNDERWAY = 4
"""Batches on the device at a time: the one in use, and what was sent ahead."""
IN_BETWEEN = 3
"""Tensors as wide as an adapter's widest that the gradient of one layer takes."""


class Held(NamedTuple):
    """What an adapter holds for its gradient, in bytes.

    Attributes:
        fixed: whatever the number of rows: copies of weights in half precision.
        per_row: that each row adds.
        widest: of a row in the widest tensor.
    """

    fixed: int
    per_row: int
    widest: int


class SideOfStep(NamedTuple):
    """One side of a batch, in one process.

    Attributes:
        rows: after mixing.
        width: of latents.
        held: by its adapter.
        is_cut: whether its adapter takes rows in stretches.
    """

    rows: int
    width: int
    held: Held
    is_cut: bool


class StepSizes(NamedTuple):
    """What the memory of a step follows from.

    Attributes:
        sides: left and right.
        parts: loaded rows that become one.
        loaded: bytes of a loaded number; others are of `number` bytes.
        embedding_dim: width of embeddings.
        weights: that are trained.
        num_processes: whose rows are compared with one another.
        structure: whether latents are compared, too.
        tile: rows and columns of logits at a time.
        number: bytes of a number.
    """

    sides: Sequence[SideOfStep]
    parts: int
    loaded: int
    embedding_dim: int
    weights: int
    num_processes: int = 1
    structure: bool = False
    tile: int = TILE["cpu"]
    number: int = 4


def step_bytes(sizes: StepSizes, *, again: bool) -> int:
    """About the most memory that a step takes at a time, beside the weights and the latents that live on the device.

    Args:
        sizes: of the step.
        again: whether adapters compute a second time what they would hold; see `stretches`.
    """
    sides = sizes.sides
    latents = [side.rows * side.width for side in sides]
    mixed, prepared = sum(latents) * sizes.number, sum(latents) * sizes.parts * sizes.number
    mixing = prepared + mixed + max(latents) * sizes.number
    held, at_once = sum(_held(side, again) for side in sides), max(_at_once(side, again) for side in sides)
    one = max(side.rows for side in sides) * sizes.embedding_dim * sizes.number
    others = sides[1].rows * sizes.embedding_dim * sizes.number * (sizes.num_processes - 1)
    loss = EMBEDDINGS * one + GRADIENTS * others + _tiles(sizes)
    compared = mixed * (1 + sizes.num_processes * (sizes.num_processes > 1)) if sizes.structure else 0
    passes = mixed + compared + held + max(loss, GRADIENTS * (one + others) + at_once)
    lasting = (BESIDE_WEIGHTS + (sizes.num_processes > 1)) * sizes.weights * sizes.number
    return lasting + UNDERWAY * sum(latents) * sizes.parts * sizes.loaded + max(mixing, passes)


def _held(side: SideOfStep, again: bool) -> int:
    """From one end of the step to the other."""
    if side.is_cut and again:
        return 0
    stretches = num_stretches(side.rows) if side.is_cut else 1
    return side.held.fixed * stretches + side.held.per_row * side.rows


def _at_once(side: SideOfStep, again: bool) -> int:
    """While the gradient of one adapter is computed."""
    rows = -(-side.rows // num_stretches(side.rows)) if side.is_cut else side.rows
    in_between = IN_BETWEEN * side.held.widest * rows
    return in_between + (side.held.fixed + side.held.per_row * rows if side.is_cut and again else 0)


def _tiles(sizes: StepSizes) -> int:
    rows, columns = sizes.sides[0].rows, sizes.sides[1].rows * sizes.num_processes
    count = TILES_OF_STRUCTURE if sizes.structure else TILES
    return count * min(rows, sizes.tile) * min(columns, sizes.tile) * sizes.number


def held_by(adapter: nn.Module, width: int, device: torch.device, autocast: torch.dtype | None) -> Held:
    """What an adapter holds for its gradient.

    It is tried on rows of zeros; what that changes in it (buffers, as of a batch norm) and around it (random numbers)
    is put back. One of the user's own that cannot do with so few counts as nothing.

    Args:
        adapter: on the device, in training.
        width: of latents.
        device: that trains.
        autocast: dtype of mixed precision, or None.
    """
    before = [buffer.clone() for buffer in adapter.buffers()]
    found = Held(0, 0, 0)
    with suppress(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        dtype = next(adapter.parameters(), torch.empty(0)).dtype
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.autocast(device.type, dtype=autocast, enabled=autocast is not None, cache_enabled=False),
        ):
            few, more = (
                _saved(adapter.forward, torch.zeros(rows, width, dtype=dtype, device=device), adapter)
                for rows in (FEW, MORE)
            )
        per_row = (_total(more) - _total(few)) // (MORE - FEW)
        widest = max(
            (saved.untyped_storage().nbytes() // MORE for saved in more if saved.shape[:1] == (MORE,)), default=0
        )
        found = Held(max(0, _total(few) - FEW * per_row), per_row, widest)
    for buffer, value in zip(adapter.buffers(), before, strict=True):
        buffer.copy_(value)
    return found


def _saved(function: Callable[[Tensor], Tensor], rows: Float[Tensor, "rows dim"], adapter: nn.Module) -> list[Tensor]:
    """Tensors that are saved for the gradient, one of each storage; neither weights nor the rows themselves."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (rows, *adapter.parameters(), *adapter.buffers())}
    seen: dict[int, Tensor] = {}

    def save(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in known:
            seen.setdefault(place, tensor.detach())
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(save, lambda tensor: tensor):
        function(rows)
    return list(seen.values())


def _total(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
