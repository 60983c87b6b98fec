"""Rows of the host's memory on their way to a device: through pinned buffers that are made once, while it computes.

Place in the flow: rows of a batch, as they are gathered -> Shuttle -> OnItsWay -> the step that uses them.

Who waits for what: a thread that gathers waits until the buffer's last copy is done, and then until the device has come
near enough for another batch to have room there; the device's stream waits for the copy of the batch that it is given.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

BUFFERS = 2
"""One is filled while the other is copied."""
UNDERWAY = 1
"""Of the batches that steps have been given, the newest ones that need not have been begun before another is copied."""
Fill = Callable[[Tensor], object]
"""Writes rows into the tensor that it is given, in the host's memory."""


@runtime_checkable
class Event(Protocol):
    """A moment in what a device has been told to do."""

    def synchronize(self) -> None:
        """Wait until the device has come so far."""
        ...


@runtime_checkable
class Road(Protocol):
    """What a device offers to those that send to it."""

    def buffer(self, num_bytes: int) -> UInt8[Tensor, " num_bytes"]:
        """Memory of the host that the device copies from by itself."""
        ...

    def copy(self, values: Shaped[Tensor, "..."]) -> tuple[Shaped[Tensor, "..."], Event]:
        """Begin to copy; the tensor that is going to hold the values, and the moment from which on it does."""
        ...

    def receive(self, values: Shaped[Tensor, "..."], copied: Event) -> Event:
        """Let whatever the calling thread computes from now on wait for a copy; the moment that this begins."""
        ...


class OnItsWay(NamedTuple):
    """Rows that may still be being copied.

    Attributes:
        values: on the device; not to be used before `arrive` was called.
        arrive: to be called once, by the thread that is going to use them.
    """

    values: Shaped[Tensor, "..."]
    arrive: Callable[[], object]


@runtime_checkable
class Carrier(Protocol):
    """Brings rows to a device."""

    def send(self, shape: tuple[int, ...], dtype: torch.dtype, fill: Fill) -> OnItsWay:
        """Have rows of some shape written by `fill`, and send them off."""
        ...


class Shuttle:
    """Two buffers in turns, each as large as the largest batch that went through it.

    Args:
        road: to the device.
    """

    def __init__(self, road: Road) -> None:
        self._road = road
        self._buffers = deque([torch.empty(0, dtype=torch.uint8)] * BUFFERS)
        self._copied: deque[Event | None] = deque([None] * BUFFERS)
        self._received: deque[Event] = deque()

    def send(self, shape: tuple[int, ...], dtype: torch.dtype, fill: Fill) -> OnItsWay:
        """See `Carrier`."""
        buffer, copied = self._buffers.popleft(), self._copied.popleft()
        if copied:
            copied.synchronize()
        num_bytes = dtype.itemsize * torch.Size(shape).numel()
        if len(buffer) < num_bytes:
            buffer = self._road.buffer(num_bytes)
        rows = buffer[:num_bytes].view(dtype).view(shape)
        fill(rows)
        # The host may be steps ahead of the device: without a halt here, batches would pile up there.
        while len(self._received) > UNDERWAY:
            self._received.popleft().synchronize()
        values, copying = self._road.copy(rows)
        self._buffers.append(buffer)
        self._copied.append(copying)
        return OnItsWay(values, lambda: self._received.append(self._road.receive(values, copying)))


class Cuda:
    """The road to a GPU: a stream of its own, so that copies and computation overlap.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)

    def buffer(self, num_bytes: int) -> UInt8[Tensor, " num_bytes"]:
        """See `Road`. PyTorch rounds pinned memory up to a power of two."""
        return torch.empty(num_bytes, dtype=torch.uint8, pin_memory=True)

    def copy(self, values: Shaped[Tensor, "..."]) -> tuple[Shaped[Tensor, "..."], Event]:
        """See `Road`. Memory is taken from what belongs to the stream of copies."""
        with torch.cuda.stream(self._stream):
            there = values.to(self._device, non_blocking=True)
        return there, self._stream.record_event(torch.cuda.Event(blocking=True))

    def receive(self, values: Shaped[Tensor, "..."], copied: Event) -> Event:
        """See `Road`. The allocator is told of the stream that computes, or it would give memory to the next copy."""
        assert isinstance(copied, torch.cuda.Event), "copy() gives it"
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(copied)
        values.record_stream(computing)
        return computing.record_event(torch.cuda.Event(blocking=True))


class Direct:
    """To a CPU, whose memory is the host's, or to a device that copies when it is told to.

    Args:
        device: that is sent to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def send(self, shape: tuple[int, ...], dtype: torch.dtype, fill: Fill) -> OnItsWay:
        """See `Carrier`."""
        rows = torch.empty(shape, dtype=dtype)
        fill(rows)
        return OnItsWay(rows.to(self._device), lambda: None)


def carrier_to(device: torch.device) -> Carrier:
    """What brings rows to a device."""
    return Shuttle(Cuda(device)) if device.type == "cuda" else Direct(device)
