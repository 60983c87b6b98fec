"""JPEGs decoded at a fraction of their size, where an encoder shrinks them anyway: `decode: fraction`.

Place in the flow: options of an encoder and what its library resizes to -> `least_side`, which decoding keeps to, and a
line of its fingerprint.

A JPEG's blocks can be decoded at 1/2, 1/4 or 1/8, which takes a fraction of the time. What is left is still at least
twice as large as what the encoder wants, so that its own resizing decides what is seen.
"""

import math
from typing import Any

from fusemix.errors import EncoderError

TIMES = 2
"""Both sides stay at least so many times as long as what the encoder resizes to."""


def least_side(decode: str, needed: int | None, model: str) -> int | None:
    """Pixels that no side of a picture may fall below while it is decoded; None: decode it whole.

    Args:
        decode: `whole` or `fraction`.
        needed: pixels of the longer side that the encoder resizes to, where that is known.
        model: for the message.

    Raises:
        EncoderError: it is not known.
    """
    if decode == "whole":
        return None
    if not needed:
        raise EncoderError(
            f"decode=fraction: the model {model!r} does not say one size that it resizes pictures to. Use decode=whole."
        )
    return TIMES * needed


def noted(least: int | None) -> dict[str, Any]:
    """What the fingerprint says of it: nothing where pictures are decoded whole."""
    return {} if least is None else {"decode": {"jpeg": "1/2, 1/4 or 1/8", "least_side": least}}


def needed_by_processor(processor: Any) -> int | None:
    """Pixels that an image processor of transformers resizes to; None where it varies, or nothing is resized."""
    size = getattr(processor, "size", None)
    if not size or not getattr(processor, "do_resize", False):
        return None
    sides = [getattr(size, name, None) for name in ("shortest_edge", "height", "width")]
    longest = max((side for side in sides if side), default=None)
    share = getattr(processor, "crop_pct", None)  # ConvNeXt resizes to more, and crops
    return math.ceil(longest / share) if longest and share else longest


def needed_by_transforms(transform: Any) -> int | None:
    """Pixels that the transforms of timm or open_clip resize to, which they do first."""
    first = next(iter(getattr(transform, "transforms", ())), None)
    size = getattr(first, "size", None) or getattr(first, "max_size", None)
    return max(size) if isinstance(size, list | tuple) else size
