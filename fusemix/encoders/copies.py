"""Batches go to a GPU on a stream of their own, so that a copy runs while the batch before is encoded.

Place in the flow: a collated batch in page-locked memory -> the same on the device -> `encode`.

Python runs ahead of a GPU: when a batch arrives, the one before is most often still computed. On the stream that
computes, its copy would wait for that. A batch is held until what reads it is done: its memory is the copying stream's,
which would else give it to the next batch.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from fusemix.interfaces import Batch, Encoder

T = TypeVar("T")
AHEAD = 2
"""Batches that may be on the device, or on their way, behind the one that is computed."""


class Copies:
    """Copies batches to one device; on all but GPUs they are handed on as they are.

    Args:
        device: of the encoders.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, None
        self._held = deque[tuple[Any, Batch, Batch]]()

    def encoded(self, encoder: Encoder, batch: Batch, encode: Callable[[Batch], T]) -> T:
        """What an encoder gives for a batch.

        Args:
            encoder: its batches are copied where it says `copied_ahead`; others may want them on the CPU.
            batch: on the CPU.
            encode: starts the work, on the stream that computes.
        """
        if self._device.type != "cuda" or not getattr(encoder, "copied_ahead", False):
            return encode(batch)
        while len(self._held) > AHEAD:
            self._held.popleft()[0].synchronize()
        computing, there = torch.cuda.current_stream(self._device), None
        self._stream = self._stream or torch.cuda.Stream(self._device)
        try:
            with torch.cuda.stream(self._stream):
                there = moved(batch, self._device)
            computing.wait_stream(self._stream)
            return encode(there)
        finally:
            self._held.append((computing.record_event(), batch, there))

    def release(self) -> None:
        """Wait for all that is computed, and let go of its batches."""
        while self._held:
            self._held.popleft()[0].synchronize()


def moved(value: Any, device: torch.device) -> Any:
    """The same with its tensors on a device, in dicts, lists, tuples and named tuples of any nesting."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: moved(one, device) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(one, device) for one in value))
    return type(value)(moved(one, device) for one in value) if isinstance(value, list | tuple) else value
