"""Where latents are kept while adapters are trained: on the device, in the host's memory, or on disk.

Place in the flow: Side -> Residence -> rows of a batch, gathered in one call, on their way to the device.
Not here: how they get there (shuttle.py).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fusemix.errors import ConfigError
from fusemix.latents.sets import Side
from fusemix.latents.shuttle import Carrier, OnItsWay, carrier_to
from fusemix.machine.environment import available_memory

Where = Literal["auto", "device", "pinned", "mapped"]
Advance = Callable[[int], None]
SHARE_OF_DEVICE = 0.9
"""Of a device's free memory, for latents and a step; the rest is for what is not counted."""
SHARE_OF_HOST = 0.5
"""Of the host's free memory that latents may take."""
ROWS_AT_ONCE = 65_536


class StepBytes(NamedTuple):
    """What a training step takes of the device's memory, beside weights and latents.

    Attributes:
        held: with all that its gradient needs held until then.
        recomputed: with what can be computed a second time computed a second time.
    """

    held: int
    recomputed: int


@runtime_checkable
class Step(Protocol):
    """What is trained with the latents, as far as they have to make room for it."""

    def num_bytes(self, device: torch.device, precision: str, num_processes: int) -> StepBytes:
        """What a step of one of several processes takes; `precision` as Lightning names it."""
        ...

    def recompute(self, again: bool) -> None:
        """Compute a second time what there is no room to hold, or do not."""
        ...


@runtime_checkable
class Residence(Protocol):
    """Latents of one side."""

    def take(self, rows: Int64[np.ndarray, " n"]) -> OnItsWay:
        """Rows (n, dim) in the order asked for, in the dtype of the store; on the device, or on their way to it."""
        ...


class Placement(NamedTuple):
    """Where latents live, and what that leaves for a step.

    Attributes:
        where: not `auto`.
        recompute: whether a step has to compute a second time what it has no room to hold.
        told: for people, a line each.
    """

    where: Where
    recompute: bool
    told: tuple[str, ...]


def choose(where: Where, num_bytes: int, step: StepBytes, device: torch.device) -> Placement:
    """Where latents are going to live, and why.

    A step that may hold what it needs is faster than one that computes it again, and latents in the host's memory are
    nearly as fast as those on a GPU: so latents make room, as long as that is of use.

    Args:
        where: what was asked for; `auto` takes the first of device, pinned and mapped that has room.
        num_bytes: of all latents that are trained on.
        step: that is taken beside them.
        device: that the adapters are on. A CPU's own memory is the host's, and nothing there is pinned.

    Raises:
        ConfigError: pinned memory was asked for and the device is a CPU.
    """
    if where == "pinned" and device.type != "cuda":
        raise ConfigError("latents_on=pinned speeds up copies to a GPU, and there is none here. Use device or mapped.")
    usable = int(_free(device) * SHARE_OF_DEVICE)
    needed = step.held if step.held <= usable else step.recomputed
    found, why = _fitting(num_bytes, usable, needed, device) if where == "auto" else (where, "as asked for")
    left = usable - (num_bytes if found == "device" else 0)
    recompute = step.held > left and step.recomputed < step.held
    told = [f"latents_on={found}: {num_bytes / 1e9:,.3f} GB{', ' if where != 'auto' else ' '}{why}"]
    if recompute:
        told.append(
            f"activations are computed a second time, for the gradient: held until then, a step would take about "
            f"{step.held / 1e9:,.1f} GB of {left / 1e9:,.1f} GB, and takes {step.recomputed / 1e9:,.1f} GB so; the "
            "result is the same"
        )
    if (least := step.recomputed if recompute else step.held) > left:
        told.append(
            f"a step takes about {least / 1e9:,.1f} GB, and {left / 1e9:,.1f} GB are free: if memory runs out, "
            f"{'give latents_on=auto, or ' if num_bytes and found == 'device' else ''}lower optim.batch_size"
        )
    return Placement(found, recompute, tuple(told))


def _fitting(num_bytes: int, usable: int, needed: int, device: torch.device) -> tuple[Where, str]:
    room = max(0, usable - needed)
    if device.type == "cpu":
        room = min(room, int(available_memory() * SHARE_OF_HOST))
    if num_bytes <= room:
        return "device", f"of {room / 1e9:,.1f} GB that may be used there, beside {needed / 1e9:,.1f} GB of a step"
    if device.type == "cuda" and num_bytes <= available_memory() * SHARE_OF_HOST:
        return "pinned", f"do not fit into {room / 1e9:,.1f} GB on the device, beside {needed / 1e9:,.1f} GB of a step"
    return "mapped", "do not fit into memory; links that lie together on disk are read together"


def _free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()


def reside(side: Side, where: Where, device: torch.device, advance: Advance) -> Residence:
    """Bring the latents of a side to where they are going to live.

    Args:
        side: whose latents.
        where: not `auto`; see `choose`.
        device: that the adapters are on.
        advance: is told how many rows were just read; what stays on disk is not read.
    """
    if where == "device":
        return OnDevice(side, device, advance)
    return InMemory(side, device, advance) if where == "pinned" else Mapped(side, device)


class OnDevice:
    """All latents of a side in the device's memory."""

    def __init__(self, side: Side, device: torch.device, advance: Advance) -> None:
        self._latents = torch.empty(len(side), side.dim, dtype=_dtype(side), device=device)
        _copy(side, self._latents, advance)

    def take(self, rows: Int64[np.ndarray, " n"]) -> OnItsWay:
        """Rows; see `Residence`. They are gathered by the stream that computes, in its turn."""
        index = torch.from_numpy(rows)
        if self._latents.device.type == "cuda":  # some KB: pinned, they do not make the host wait for the device
            index = index.pin_memory().to(self._latents.device, non_blocking=True)
        return OnItsWay(self._latents.index_select(0, index.to(self._latents.device)), lambda: None)


class InMemory:
    """All latents of a side in the host's memory, in just as much of it as they need.

    It is not pinned itself: PyTorch rounds pinned memory up to a power of two, and what is gathered from it is not
    pinned. What a batch takes of them goes through buffers that are.
    """

    def __init__(self, side: Side, device: torch.device, advance: Advance) -> None:
        self._latents = torch.empty(len(side), side.dim, dtype=_dtype(side))
        self._carrier = carrier_to(device)
        _copy(side, self._latents, advance)

    def take(self, rows: Int64[np.ndarray, " n"]) -> OnItsWay:
        """Rows; see `Residence`."""
        return _sent(self._carrier, self._latents, rows)


class Mapped:
    """Latents that stay on disk."""

    def __init__(self, side: Side, device: torch.device) -> None:
        self._side, self._carrier = side, carrier_to(device)

    def take(self, rows: Int64[np.ndarray, " n"]) -> OnItsWay:
        """Rows; see `Residence`. Read in the order of the disk."""
        distinct, places = np.unique(rows, return_inverse=True)
        return _sent(self._carrier, torch.from_numpy(self._side.take(distinct)), places)


def _sent(carrier: Carrier, latents: Float[Tensor, "all dim"], rows: Int64[np.ndarray, " n"]) -> OnItsWay:
    index = torch.from_numpy(rows)
    shape = (len(rows), latents.shape[1])
    return carrier.send(shape, latents.dtype, lambda out: torch.index_select(latents, 0, index, out=out))


def _dtype(side: Side) -> torch.dtype:
    return torch.from_numpy(np.empty(0, side.dtype)).dtype


def _copy(side: Side, to: Tensor, advance: Advance) -> None:
    for at in range(0, len(side), ROWS_AT_ONCE):
        rows = np.arange(at, min(at + ROWS_AT_ONCE, len(side)))
        to[at : at + len(rows)] = torch.from_numpy(side.take(rows))
        advance(len(rows))
