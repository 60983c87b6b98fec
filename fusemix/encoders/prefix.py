"""Which states of a vision model stand for no part of the picture: class, register and detection tokens.

Place in the flow: a network and the shape of its states -> what `pool_tokens` leaves out of a mean.
"""

import math
from typing import Any, NamedTuple

from torch import Tensor

WITHOUT_CLASS_TOKEN = ("siglip", "siglip_vision_model", "siglip2", "siglip2_vision_model")
ONE_CLASS_TOKEN = ("dinov3_convnext", "pvt")
"""Models of several scales that put one class token before the patches of their last scale."""
WIDTH_LAST = ("dinat",)
"""Models that give a map as (batch, rows, columns, width)."""


class Extra(NamedTuple):
    """States beside those of the patches.

    Attributes:
        before: class and register tokens.
        has_cls: whether the first of them is a class token.
        after: detection tokens.
    """

    before: int
    has_cls: bool
    after: int = 0


def extra_of_timm(network: Any) -> Extra:
    """Of a network of timm; some say how many there are, others show it by a class token alone."""
    has_cls = any(name.startswith("cls_token") for name, _ in network.named_parameters(recurse=False))
    before = getattr(network, "num_prefix_tokens", None)
    return Extra(int(has_cls) if before is None else before, has_cls)


def extra_of_transformers(tower: Any, states: Tensor, pixels: Tensor | None) -> Extra:
    """Of a network of transformers: what there is beside the patches.

    Args:
        tower: the part that sees.
        states: of the last or of a chosen layer; a map, (batch, width, rows, columns), has patches alone.
        pixels: that it saw; (batch, 3, height, width) but for models that take patches, None for those that take
            the numbers of colours (ImageGPT).
    """
    config = tower.config
    if hasattr(tower, "timm_model"):
        return extra_of_timm(tower.timm_model)
    if states.ndim == 4:
        return Extra(0, False)
    if config.model_type in ONE_CLASS_TOKEN:
        has_cls = _is_last_scale(states, pixels, getattr(config, "strides", None))
        return Extra(int(has_cls), has_cls)
    patch = getattr(config, "patch_size", None)
    if patch is None or pixels is None or pixels.ndim != 4 or config.model_type in WITHOUT_CLASS_TOKEN:
        return Extra(0, False)
    high, wide = (patch, patch) if isinstance(patch, int) else patch
    num_patches = (pixels.shape[2] // high) * (pixels.shape[3] // wide)
    after = getattr(config, "num_detection_tokens", 0)
    before = max(states.shape[1] - num_patches - after, 0)  # negative where a hierarchical model merges patches
    return Extra(before, before > 0, after)


def _is_last_scale(states: Tensor, pixels: Tensor | None, strides: list[int] | None) -> bool:
    if strides is None or pixels is None:  # DINOv3's ConvNeXt gives maps of the others
        return True
    step = math.prod(strides)
    return states.shape[1] == (pixels.shape[2] // step) * (pixels.shape[3] // step) + 1


def as_tokens(states: Tensor, network: Any) -> Tensor:
    """States as (batch, tokens, width), also of networks that give a map."""
    if states.ndim != 4:
        return states
    inner = getattr(network, "timm_model", network)
    last = getattr(inner, "output_fmt", "NCHW") == "NHWC"
    last |= getattr(getattr(inner, "config", None), "model_type", None) in WIDTH_LAST
    return states.flatten(1, 2) if last else states.flatten(2).transpose(1, 2)
