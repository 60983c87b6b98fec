"""Kernels of code that runs on fake tensors: bytes, FLOP, and seconds at assumed rates; for step_estimate.py."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

WRITES_ONLY = {"copy_", "fill_", "zero_", "random_", "bernoulli_", "uniform_"}
"""Kernels that overwrite their first argument without reading it."""
ALLOCATES = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "device"}
"""Calls that run no kernel, beside those that return views."""


class Rates(NamedTuple):
    """Of an H200, as assumed.

    Attributes:
        bfloat16: FLOP/s of dense matrix products, as measured on one: four fifths of the data sheet's.
        tf32: the same of float32 numbers on the matrix units: half as many, by the data sheet.
        bandwidth: bytes/s: 85 % of the data sheet's 4.8 TB/s; a large copy reaches a little more.
        launch: seconds that the smallest kernel takes from the one before it to the next.
    """

    bfloat16: float = 790e12
    tf32: float = 395e12
    bandwidth: float = 0.85 * 4.8e12
    launch: float = 4e-6

    def seconds(self, flop: float, dtype: torch.dtype, num_bytes: float) -> float:
        rate = self.bfloat16 if dtype == torch.bfloat16 else self.tf32
        return max(flop / rate, num_bytes / self.bandwidth, self.launch)


class Piece(NamedTuple):
    """A stretch of memory that a kernel reads or writes."""

    storage: int
    offset: int
    num_bytes: int


class Kernel(NamedTuple):
    phase: str
    name: str
    flop: float
    dtype: torch.dtype
    reads: tuple[Piece, ...]
    writes: tuple[Piece, ...]

    @property
    def num_bytes(self) -> int:
        return sum(piece.num_bytes for piece in (*self.reads, *self.writes))


class Part(NamedTuple):
    """Of a step: FLOP, kernels, bytes and seconds."""

    flop: float = 0.0
    kernels: int = 0
    num_bytes: float = 0.0
    seconds: float = 0.0


class Kernels(TorchDispatchMode):
    """Notes the kernels that are called within, each under the phase that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.phase, self.seen = "", list[Kernel]()
        self._kept: list[Any] = []  # storages: an address that is free again would stand for two of them

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.logsumexp.default:
            with self:
                return _log_sum_exp(*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        name = func.__name__.split(".")[0]
        given, made = _tensors((args, kwargs)), _tensors(out)
        inside = {piece.storage for piece in map(self._piece, given)}
        changed = [t for argument in _written(func, args, kwargs or {}) for t in _tensors(argument)]
        fresh = [t for t in made if self._piece(t).storage not in inside]
        if name in ALLOCATES or not (changed or fresh):
            return out
        if name in WRITES_ONLY:
            given = [t for t in given if t is not args[0]]
        count = flop_registry.get(getattr(torch.ops.aten, name.rstrip("_"), None))  # which knows no addmm_
        flop = float(count(*args, **(kwargs or {}), out_val=out)) if count else 0.0
        dtype = given[0].dtype if given else torch.float32
        reads, writes = map(self._piece, given), map(self._piece, (*changed, *fresh))
        self.seen.append(Kernel(self.phase, name, flop, dtype, tuple(reads), tuple(writes)))
        return out

    def _piece(self, tensor: Tensor) -> Piece:
        storage = tensor.untyped_storage()
        self._kept.append(storage)
        num_bytes = min(tensor.numel() * tensor.element_size(), storage.nbytes())  # an expanded one is read once
        return Piece(storage._cdata, int(tensor.storage_offset()), num_bytes)


def _log_sum_exp(values: Tensor, dim: list[int], keepdim: bool = False) -> Tensor:
    """The kernels that PyTorch's own runs, which it shows as one."""
    largest = values.amax(dim, keepdim=True)
    return (values - largest).exp_().sum(dim, keepdim=keepdim).log_().add_(largest.squeeze(dim))


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _written(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[Any]:
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield args[place] if place < len(args) else kwargs.get(argument.name)


def alone(kernels: Iterable[Kernel], rates: Rates) -> Part:
    """Every kernel by itself."""
    parts = [Part(k.flop, 1, k.num_bytes, rates.seconds(k.flop, k.dtype, k.num_bytes)) for k in kernels]
    return together(parts)


def together(parts: Iterable[Part]) -> Part:
    return Part(*(sum(numbers) for numbers in zip(Part(), *parts, strict=True)))


def fused(kernels: Sequence[Kernel], phase: str, rates: Rates) -> Part:
    """The kernels of a phase, where all that lies between two matrix products is one; see step_estimate.py."""
    last_read: dict[int, int] = {}
    first: dict[int, bool] = {}  # storage -> whether it was there before the step
    for place, kernel in enumerate(kernels):
        for piece in kernel.reads:
            last_read[piece.storage] = place
            first.setdefault(piece.storage, True)
        for piece in kernel.writes:
            first.setdefault(piece.storage, False)
    parts, run = [], list[int]()
    for place, kernel in enumerate(kernels):
        if kernel.phase != phase:
            continue
        if kernel.flop:
            parts += [_as_one(kernels, run, last_read, first, rates), alone([kernel], rates)]
            run = []
        else:
            run.append(place)
    return together([*parts, _as_one(kernels, run, last_read, first, rates)])


def _as_one(
    kernels: Sequence[Kernel], run: list[int], last_read: dict[int, int], first: dict[int, bool], rates: Rates
) -> Part:
    if not run:
        return Part()
    reads, writes, made = set[Piece](), set[Piece](), set[int]()
    for place in run:
        reads |= {piece for piece in kernels[place].reads if piece.storage not in made}
        made |= {piece.storage for piece in kernels[place].writes}
        writes |= set(kernels[place].writes)
    lasting = {piece for piece in writes if last_read.get(piece.storage, -1) > run[-1] or first[piece.storage]}
    num_bytes = sum(piece.num_bytes for piece in (*reads, *lasting))
    return Part(0.0, 1, num_bytes, rates.seconds(0.0, torch.float32, num_bytes))
