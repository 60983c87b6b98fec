"""Vision models of timm.

Place in the flow: pictures -> states -> one vector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import timm as timm_models
import torch
from jaxtyping import Float
from PIL import Image
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor

from fusemix.encoders.drafts import least_side, needed_by_transforms, noted
from fusemix.encoders.facts import structure
from fusemix.encoders.loading import (
    explained,
    freeze,
    model_name,
    package_versions,
    plain,
    torch_dtype,
    weights_sha256,
)
from fusemix.encoders.looked_over import look_over
from fusemix.encoders.one_size import OneSize
from fusemix.encoders.pooling import RULES as POOLING_RULES
from fusemix.encoders.pooling import check_pooling, own_memory, pool_tokens
from fusemix.encoders.prefix import as_tokens, extra_of_timm
from fusemix.encoders.trial import first_latents
from fusemix.encoders.two_steps import TwoSteps
from fusemix.errors import EncoderError
from fusemix.parts.kinds import Location

MEAN_RULES = {"VOLO": 2, "CoaT": 2, "PoolingVisionTransformer": 2}
"""Numbers of the rules for a mean by class, 1 where not named; raised whenever latents of a class change."""


def timm(
    *,
    model: Location,
    pooling: str = "pooler",
    dtype: str = "float32",
    decode: Literal["whole", "fraction"] = "whole",
) -> "TimmImage":
    """Load a timm model with its pretrained weights.

    Args:
        model: name with its tag (`vit_small_patch16_dinov3.lvd1689m`), `hf-hub:org/name@revision`, or a
            folder with timm's `config.json` and weights.
        pooling: `pooler` (the model's own head before its classifier), `cls`, `mean` (patches alone) or
            `cls+mean` (both, twice as wide). timm's DINOv3 entries average by default: take `cls` there.
        dtype: float32, bfloat16 or float16; auto is bfloat16 on GPUs that multiply it in hardware, else float32.
        decode: large JPEGs whole, or at a fraction of their size that is still twice what the model wants.

    Raises:
        EncoderError: the model cannot be loaded, has no such pooling, or says no size for decode=fraction.
    """
    check_pooling(pooling)
    if pooling == "last_token":
        raise EncoderError("pooling=last_token is for text. Use pooling=pooler, cls, mean or cls+mean.")
    wanted = torch_dtype(dtype)
    with explained(model) as folder:
        look_over(folder)
        name = f"local-dir:{folder}" if Path(folder).is_dir() else folder
        network = timm_models.create_model(name, pretrained=True, num_classes=0)
    return TimmImage(freeze(network.to(wanted)), model, pooling, dtype, decode)


class TimmImage(OneSize):
    """Pictures -> latents; see `timm`."""

    modality = "image"
    copied_ahead = True

    def __init__(self, network: Any, model: str, pooling: str, dtype: str, decode: str) -> None:
        self.network, self._pooling = network, pooling
        settings = resolve_model_data_config(network)
        transform = create_transform(**settings, is_training=False)
        self._transform, self.least_side = (
            TwoSteps(transform),
            least_side(decode, needed_by_transforms(transform), model),
        )
        self.dim = first_latents(self, Image.new("RGB", (64, 48)), model).shape[1]
        mean_rules = MEAN_RULES.get(type(network).__name__, 1)
        self.fingerprint: dict[str, Any] = {
            "family": "timm",
            "model": model_name(model),
            "revision": plain(network.pretrained_cfg.get("hf_hub_id")) or "local",
            "weights_sha256": weights_sha256(network),
            "pooling": pooling,
            "dtype": dtype,
            "preprocessing": plain(settings),
            "structure": structure(network),
            "rules": {"pooling": POOLING_RULES, "timm": mean_rules if "mean" in pooling else 1},
            "packages": package_versions("timm", "torch", "torchvision", "pillow"),
            **noted(self.least_side),
        }

    def prepare(self, contents: Sequence[Image.Image]) -> list[Tensor]:
        """Resized and cropped as the model's own settings say, and scaled where that cannot wait for the device."""
        return [self._transform.pixels(picture) for picture in contents]

    def encode(self, batch: Tensor) -> Float[Tensor, "batch dim"]:
        """Scale, run and pool."""
        parameter = next(self.network.parameters())
        with torch.inference_mode():
            pixels = self._transform.numbers(batch.to(parameter.device, non_blocking=True)).to(parameter.dtype)
            states = self.network.forward_features(pixels)
            if self._pooling == "pooler":
                return own_memory(self.network.forward_head(states, pre_logits=True).float())
        states = as_tokens(states, self.network)
        mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        extra = extra_of_timm(self.network)
        return pool_tokens(states, mask, self._pooling, num_prefix=extra.before, has_cls=extra.has_cls)
