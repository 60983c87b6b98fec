"""Scale pixels where the model runs, instead of in the workers.

Place in the flow: bytes of pictures, on the model's device -> the values that its image processor would give.
Bytes are a quarter of what they become, so that workers hand over, and a GPU fetches, a quarter.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

UNSCALED: Mapping[str, Any] = MappingProxyType({"do_rescale": False, "do_normalize": False})
"""Settings of a processor that leave its scaling out."""


def scaled(processor: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an image processor does to pixels as its last step, by its own method.

    Args:
        processor: one that `can_scale_later`.
        inputs: `pixel_values` in bytes, (batch, 3, height, width), or cut into patches with a mask of those that are
            real (SigLIP2 NaFlex), (batch, patches, side * side * 3); what is beside them is left as it is.
    """
    pixels, mask = inputs["pixel_values"], inputs.get("pixel_attention_mask")
    if mask is None:
        return {**inputs, "pixel_values": _scaled(processor, pixels)}
    patches = pixels.unflatten(-1, (processor.patch_size, processor.patch_size, -1)).movedim(-1, -3)
    values = _scaled(processor, patches).movedim(-3, -1).flatten(-3)
    return {**inputs, "pixel_values": values.masked_fill(mask[..., None] == 0, 0)}


def _scaled(processor: Any, pixels: Tensor) -> Tensor:
    return processor.rescale_and_normalize(
        pixels,
        processor.do_rescale,
        processor.rescale_factor,
        processor.do_normalize,
        processor.image_mean,
        processor.image_std,
    )


def can_scale_later(processor: Any) -> bool:
    """Whether an image processor gives, bit by bit, the same in two steps: tried on a picture of noise."""
    if getattr(processor, "do_pad", False):  # with zeros, which stand for grey
        return False
    noise = np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    whole = processor(images=[picture], return_tensors="pt")
    try:
        parts = processor(images=[picture], return_tensors="pt", **UNSCALED)
        values = scaled(processor, dict(parts))["pixel_values"]
    except Exception:  # a processor of another kind may raise anything here; it is then used whole
        return False
    return parts["pixel_values"].dtype == torch.uint8 and torch.equal(values, whole["pixel_values"])
