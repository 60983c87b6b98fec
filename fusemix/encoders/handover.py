"""Hand what a worker has read over to another process: all tensors of a window in one block of shared memory.

Place in the flow: a window of collated batches, in a worker -> Parcel -> the same window, in the encoder's process.

A tensor that is sent by itself costs an open file in both processes, and a window of captions holds hundreds, where
most systems allow 1024. A parcel costs one, whatever it holds, and its message is so small that sending never blocks.
"""

import io
import pickle
from typing import Any, NamedTuple

import torch
from torch import Tensor

ALIGNMENT = 64
"""Each tensor begins at a multiple of so many bytes: any dtype can be looked at there, and a cache line is whole."""


class Parcel(NamedTuple):
    """Something with its tensors, as bytes.

    Attributes:
        flat: uint8 in shared memory; the tensors one after another, then the letter.
        letter_at: where the rest begins, pickled, in which each tensor is its place, strides and dtype.
    """

    flat: Tensor
    letter_at: int

    def pin_memory(self) -> "Parcel":
        """The same in page-locked memory, in one copy."""
        return self._replace(flat=self.flat.pin_memory())


class _Place(NamedTuple):
    """Where a tensor lies in the block, and how."""

    at: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


def packed(content: Any) -> Parcel:
    """Put something that can be pickled into one block of shared memory.

    Args:
        content: of any nesting; its tensors on the CPU are copied as they are, with their strides.

    Raises:
        RuntimeError: there is no shared memory, or no more files may be opened.
    """
    letter = io.BytesIO()
    pickler = _Pickler(letter, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dump(content)
    text = letter.getbuffer()
    flat = _shared(pickler.end + len(text))
    for place, tensor in pickler.placed.values():
        _view(flat, place).copy_(tensor)
    flat[pickler.end :] = torch.frombuffer(text, dtype=torch.uint8)
    return Parcel(flat, pickler.end)


def unpacked(parcel: Parcel) -> Any:
    """What was packed; its tensors are views of the parcel's block, which lives as long as any of them."""
    letter = io.BytesIO(parcel.flat[parcel.letter_at :].numpy().data)
    return _Unpickler(letter, parcel.flat).load()


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, **settings: Any) -> None:
        super().__init__(file, **settings)
        self.end = 0
        self.placed: dict[int, tuple[_Place, Tensor]] = {}

    def persistent_id(self, obj: Any) -> tuple | None:
        if type(obj) is not Tensor or obj.device.type != "cpu" or obj.layout != torch.strided or obj.is_quantized:
            return None  # as torch pickles it, within the letter
        if id(obj) not in self.placed:
            dense = obj.is_contiguous()
            strides = obj.stride() if dense else torch.empty_like(obj, device="meta").stride()
            place = _Place(self.end, tuple(obj.shape), tuple(strides), obj.dtype)
            self.placed[id(obj)] = place, obj.detach()
            self.end += -(-obj.numel() * obj.element_size() // ALIGNMENT) * ALIGNMENT
        return tuple(self.placed[id(obj)][0])


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, flat: Tensor) -> None:
        super().__init__(file)
        self._flat, self._views = flat, {}

    def persistent_load(self, pid: tuple) -> Tensor:
        if pid not in self._views:
            self._views[pid] = _view(self._flat, _Place(*pid))
        return self._views[pid]


def _shared(num_bytes: int) -> Tensor:
    storage = torch.UntypedStorage._new_shared(num_bytes)  # as torch's own default_collate: no copy
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _view(flat: Tensor, place: _Place) -> Tensor:
    """A view of the block's own storage, which is what keeps page-locked memory from being used again too soon."""
    at, shape, strides, dtype = place
    num_bytes = torch.Size(shape).numel() * dtype.itemsize
    return flat[at : at + num_bytes].view(dtype).as_strided(shape, strides, at // dtype.itemsize)
