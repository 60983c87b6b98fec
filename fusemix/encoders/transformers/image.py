"""Vision models of Hugging Face transformers: DINOv2, DINOv3, SigLIP2, ViT, MobileNetV2 and their like.

Place in the flow: pictures -> pixels -> states -> one vector.
Not here: when pixels are scaled (scaling.py).
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor

from fusemix.encoders.drafts import least_side, needed_by_processor, noted
from fusemix.encoders.loading import explained, freeze
from fusemix.encoders.looked_over import look_over
from fusemix.encoders.pooling import RULES as POOLING_RULES
from fusemix.encoders.pooling import check_pooling, pool_tokens
from fusemix.encoders.prefix import as_tokens, extra_of_transformers
from fusemix.encoders.transformers.scaling import UNSCALED, can_scale_later, scaled
from fusemix.encoders.transformers.shared import (
    chosen_layer,
    fingerprint,
    load_network,
    narrowed,
    pooler_output,
    run,
    width,
)
from fusemix.encoders.trial import first_latents, refuse_blind_first_token
from fusemix.errors import EncoderError
from fusemix.parts.kinds import Location

Pixels = dict[str, np.ndarray]
MEAN_RULES = {"timm_wrapper": 2, "dinov3_convnext": 2, "pvt": 2, "yolos": 2}
"""Numbers of the rules for a mean by model type, 1 where not named; raised whenever latents of a type change."""


def transformers_image(
    *,
    model: Location,
    revision: str | None = None,
    pooling: str = "cls",
    layer: int | None = None,
    dtype: str = "float32",
    decode: Literal["whole", "fraction"] = "whole",
    trust_remote_code: bool = False,
) -> "TransformersImage":
    """Load a vision model and its image processor.

    Args:
        model: hub name or local folder.
        revision: commit, tag or branch on the hub; what it resolved to is recorded.
        pooling: `cls`, `mean` (patches alone: class and register tokens are left out), `cls+mean`
            (both, twice as wide), or `pooler` (the model's own: SigLIP's head, MobileNet's average).
        layer: index into the hidden states, where 0 is the input embedding; by default the model's
            final output. A chosen layer comes without the model's last norm.
        dtype: float32, bfloat16 or float16; auto is bfloat16 on GPUs that multiply it in hardware, else float32.
        decode: large JPEGs whole, or at a fraction of their size that is still twice what the model wants.
        trust_remote_code: run code that the model's repository brings.

    Raises:
        EncoderError: the model cannot be loaded, has no such pooling or layer, or says no size for decode=fraction.
    """
    check_pooling(pooling)
    if pooling == "last_token":
        raise EncoderError("pooling=last_token is for text. Use pooling=cls, mean, cls+mean or pooler.")
    with explained(model, revision) as folder:
        if not trust_remote_code:
            look_over(folder, revision)
        processor = AutoImageProcessor.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    network = load_network(model, revision=revision, dtype=dtype, trust_remote_code=trust_remote_code)
    least = least_side(decode, needed_by_processor(processor), model)
    return TransformersImage(network, processor, model, pooling, layer, dtype, least)


class TransformersImage:
    """Pictures -> latents; see `transformers_image`."""

    modality = "image"
    sample_rate = None
    copied_ahead = True

    def __init__(
        self,
        network: Any,
        processor: Any,
        model: str,
        pooling: str,
        layer: int | None,
        dtype: str,
        least_side: int | None,
    ) -> None:
        self._tower: Any = freeze(getattr(network, "vision_model", network))
        self._processor, self._pooling, self._layer, self.least_side = processor, pooling, layer, least_side
        self._scales_later, self._dtype = can_scale_later(processor), next(self._tower.parameters()).dtype
        self.dim = width(first_latents(self, Image.new("RGB", (64, 48)), model), network)
        refuse_blind_first_token(self, pooling)
        self.fingerprint = fingerprint(
            network,
            self._tower,
            model=model,
            dtype=dtype,
            preprocessing=processor.to_dict(),
            rules={"pooling": POOLING_RULES, "image": self._mean_rules() if "mean" in pooling else 1},
            pooling=pooling,
            layer=layer,
            **noted(least_side),
        )

    def to(self, device: str) -> "TransformersImage":
        """Move the model."""
        self._tower.to(device)
        return self

    def prepare(self, contents: Sequence[Image.Image]) -> list[Pixels]:
        """Resized and cropped as the model's processor says, and scaled where that cannot wait for the device."""
        settings = UNSCALED if self._scales_later else {}
        inputs = self._processor(images=list(contents), return_tensors="pt", **settings)
        arrays = {key: value.numpy() for key, value in inputs.items() if isinstance(value, Tensor)}
        return [{key: value[i] for key, value in arrays.items()} for i in range(len(contents))]

    def length(self, prepared: Pixels) -> int:
        """Always 1: nothing is padded."""
        return 1

    def collate(self, prepared: Sequence[Pixels]) -> dict[str, Tensor]:
        """Stacked, and numbers as wide as the model takes them."""
        stacked = {key: torch.from_numpy(np.stack([row[key] for row in prepared])) for key in prepared[0]}
        return narrowed(stacked, self._dtype)

    def encode(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """Scale, run and pool."""
        if self._scales_later:
            device = next(self._tower.parameters()).device
            moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
            batch = scaled(self._processor, moved)
        outputs = run(self._tower, batch, self._layer)
        if self._pooling == "pooler":
            return pooler_output(outputs, self._layer)
        states = chosen_layer(outputs, self._layer)
        extra = extra_of_transformers(self._tower, states, batch.get("pixel_values"))
        states = as_tokens(states, self._tower)
        mask = self._mask(states, batch)
        if extra.after:
            mask[:, -extra.after :] = False
        return pool_tokens(states, mask, self._pooling, num_prefix=extra.before, has_cls=extra.has_cls)

    def _mean_rules(self) -> int:
        return MEAN_RULES.get(self._tower.config.model_type, 1)

    def _mask(self, states: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        if "pixel_attention_mask" in inputs:  # SigLIP2 NaFlex pads to the largest number of patches
            return inputs["pixel_attention_mask"].bool().to(states.device)
        return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
