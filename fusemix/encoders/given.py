"""What people have at hand for an item, as what a data set hands over for one: paths, PIL images, arrays, bytes.

Place in the flow: a user's value -> Raw -> decode. A file is read when its turn comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fusemix.errors import EncoderError
from fusemix.interfaces import Raw, Waveform

URLS = ("http://", "https://", "s3://", "gs://")
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Given(Sequence[Raw]):
    """A user's values of one modality, as a sequence of what is decoded.

    Attributes:
        values: one an item.
        modality: of all.
        sample_rate: hertz of sounds that are given as arrays.
    """

    values: Sequence[Any]
    modality: str
    sample_rate: int | None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: Any) -> Raw:
        """Read one.

        Raises:
            OSError: a file cannot be read.
            ValueError, TypeError: a value has no one meaning.
        """
        return raw_of(self.modality, self.values[row], self.sample_rate)


def listed(modality: str, given: Any) -> tuple[Sequence[Any], bool]:
    """The items in what was given, and whether it was one item and not a list.

    Args:
        modality: of the items.
        given: one item or a sequence of items; an array with one axis more than an item is a sequence of arrays.

    Raises:
        EncoderError: it is neither.
    """
    if is_one(modality, given):
        return [given], True
    if isinstance(given, Sequence):
        return given, False
    if isinstance(given, dict) or not hasattr(given, "__iter__"):
        raise EncoderError(f"{modality}: give an item or a list of items, not {type(given).__name__}.")
    return list(given), False


def is_one(modality: str, given: Any) -> bool:
    """Whether this is one item; anything but text, pictures and sounds comes in lists."""
    if isinstance(given, str | bytes | Path | Image.Image | Waveform):
        return True
    if modality == "image":
        return _is_array(given) and len(given.shape) in (2, 3)
    if modality == "audio":
        return _is_array(given) or (isinstance(given, tuple) and len(given) == 2 and _is_array(given[0]))
    return False


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def raw_of(modality: str, value: Any, sample_rate: int | None = None) -> Raw:
    """One item as a data set would hand it over.

    Args:
        modality: of the item.
        value: a text; a path, bytes, PIL image or array of a picture; a path, bytes, Waveform, pair of samples and
            rate, or array of a sound. Other modalities pass as they are.
        sample_rate: hertz of a sound that is given as an array.

    Raises:
        OSError: a file cannot be read.
        ValueError: an array has another shape or range than its kind has, or a URL was given.
    """
    if modality not in ("image", "audio"):
        return value
    if isinstance(value, str | Path):
        if str(value).startswith(URLS):
            raise ValueError(f"{value} is an address. Fetch it first, and give its bytes or its path")
        return Path(value).expanduser().read_bytes()
    if modality == "image":
        return picture_of(np.asarray(value)) if _is_array(value) else value
    if isinstance(value, Waveform):
        return value
    if isinstance(value, tuple):
        return wave_of(np.asarray(value[0]), value[1])
    return wave_of(np.asarray(value), sample_rate) if _is_array(value) else value


def picture_of(array: np.ndarray) -> Image.Image:
    """A picture from an array: height × width, grey, or height × width × 1, 3 (RGB) or 4 (RGBA).

    Args:
        array: uint8 from 0 to 255, or floating point from 0 to 1.

    Raises:
        ValueError: it has another shape, type or range.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS) or 0 in array.shape:
        hint = ". Channels come last: give array.transpose(1, 2, 0)" if array.ndim == 3 else ""
        raise ValueError(f"an array of shape {array.shape} is no picture of height × width × channels{hint}")
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # also where a value is NaN
            raise ValueError(f"pixels from {array.min():g} to {array.max():g}, where floating point means 0 to 1")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"pixels in {array.dtype}; give uint8 from 0 to 255, or floating point from 0 to 1")
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else np.ascontiguousarray(array))


def wave_of(array: np.ndarray, sample_rate: int | None) -> Waveform:
    """A sound from mono samples: floating point with full scale at 1, or int16.

    Args:
        array: one axis.
        sample_rate: in hertz.

    Raises:
        ValueError: it has another shape or type, or nothing says its rate.
    """
    if array.ndim != 1:
        raise ValueError(
            f"an array of shape {array.shape} is no mono sound: give one axis, such as the mean over the channels"
        )
    if sample_rate is None:
        raise ValueError("samples without a rate: give sample_rate=…, or (samples, rate)")
    if array.dtype == np.int16:
        array = array / np.float32(32768)
    if array.dtype.kind != "f":
        raise ValueError(f"samples in {array.dtype}; give floating point with full scale at 1, or int16")
    return Waveform(array.astype(np.float32), int(sample_rate))
