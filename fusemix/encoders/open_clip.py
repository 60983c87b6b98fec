"""Image and text towers of open_clip.

Place in the flow: pictures or captions -> one vector, in the model's own joint space, not normalised.
"""

from collections.abc import Sequence
from typing import Any, Literal

import open_clip
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fusemix.encoders.drafts import least_side, needed_by_transforms, noted
from fusemix.encoders.facts import inner_configs, open_clip_tokenizer, structure
from fusemix.encoders.loading import explained, freeze, model_name, package_versions, torch_dtype, weights_sha256
from fusemix.encoders.looked_over import look_over, nobody_is_asked
from fusemix.encoders.one_size import OneSize
from fusemix.encoders.pooling import own_memory
from fusemix.encoders.trial import first_latents
from fusemix.encoders.two_steps import TwoSteps
from fusemix.parts.kinds import Location


def open_clip_image(
    *,
    model: Location,
    pretrained: Location | None = None,
    dtype: str = "float32",
    decode: Literal["whole", "fraction"] = "whole",
) -> "OpenClipImage":
    """The image tower of an open_clip model.

    Args:
        model: architecture (`ViT-B-32`), `hf-hub:org/name`, or a folder with `open_clip_config.json`.
        pretrained: tag of the weights (`laion2b_s34b_b79k`) or a file of weights, for an architecture.
        dtype: float32, bfloat16 or float16; auto is bfloat16 on GPUs that multiply it in hardware, else float32.
        decode: large JPEGs whole, or at a fraction of their size that is still twice what the model wants.

    Raises:
        EncoderError: the model cannot be loaded, or says no size for decode=fraction.
    """
    network, transform = _load(model, pretrained, dtype)
    least = least_side(decode, needed_by_transforms(transform), model)
    fingerprint = _fingerprint(network, model, pretrained, dtype, repr(transform))
    return OpenClipImage(network, transform, {**fingerprint, **noted(least)}, least)


def open_clip_text(*, model: Location, pretrained: Location | None = None, dtype: str = "float32") -> "OpenClipText":
    """The text tower of an open_clip model; arguments and errors as for `open_clip_image`."""
    network, _ = _load(model, pretrained, dtype)
    with explained(model) as folder, nobody_is_asked():
        tokenizer = open_clip.get_tokenizer(_schema(folder))
    name = f"{type(tokenizer).__name__} {tokenizer.context_length}"
    fingerprint = _fingerprint(network, model, pretrained, dtype, name)
    return OpenClipText(network, tokenizer, {**fingerprint, "tokenizer": open_clip_tokenizer(tokenizer)})


class OpenClipImage(OneSize):
    """Pictures -> latents; see `open_clip_image`."""

    modality = "image"
    copied_ahead = True

    def __init__(self, network: Any, transform: Any, fingerprint: dict[str, Any], least_side: int | None) -> None:
        self.network, self._transform, self.fingerprint = network, TwoSteps(transform), fingerprint
        self.least_side = least_side
        self.dim = first_latents(self, Image.new("RGB", (64, 48)), fingerprint["model"]).shape[1]

    def prepare(self, contents: Sequence[Image.Image]) -> list[Tensor]:
        """Resized and cropped as the model's own transform says, and scaled where that cannot wait for the device."""
        return [self._transform.pixels(picture) for picture in contents]

    def encode(self, batch: Tensor) -> Float[Tensor, "batch dim"]:
        """Scale, and run the image tower."""
        parameter = next(self.network.parameters())
        with torch.inference_mode():
            pixels = self._transform.numbers(batch.to(parameter.device, non_blocking=True))
            return own_memory(self.network.encode_image(pixels.to(parameter.dtype)).float())


class OpenClipText(OneSize):
    """Texts -> latents; see `open_clip_text`."""

    modality = "text"
    copied_ahead = True

    def __init__(self, network: Any, tokenizer: Any, fingerprint: dict[str, Any]) -> None:
        self.network, self._tokenizer, self.fingerprint = network, tokenizer, fingerprint
        self.dim = first_latents(self, "width", fingerprint["model"]).shape[1]

    def prepare(self, contents: Sequence[str]) -> list[Tensor]:
        """Token ids, padded or cut to the model's one length."""
        return list(self._tokenizer(list(contents)))

    def encode(self, batch: Tensor) -> Float[Tensor, "batch dim"]:
        """Run the text tower."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            return own_memory(self.network.encode_text(batch.to(device, non_blocking=True)).float())


def _load(model: str, pretrained: str | None, dtype: str) -> tuple[Any, Any]:
    precision = {torch.float32: "fp32", torch.bfloat16: "pure_bf16", torch.float16: "pure_fp16"}[torch_dtype(dtype)]
    with explained(model) as folder, nobody_is_asked():
        look_over(folder)
        network, _, transform = open_clip.create_model_and_transforms(
            _schema(folder), pretrained=pretrained, precision=precision, require_pretrained=True
        )
    return freeze(network), transform  # pyright: ignore[reportArgumentType]


def _schema(folder: str) -> str:
    from pathlib import Path

    return f"local-dir:{folder}" if Path(folder).is_dir() else folder


def _fingerprint(network: Any, model: str, pretrained: str | None, dtype: str, preprocessing: str) -> dict[str, Any]:
    return {
        "family": "open_clip",
        "model": model_name(model),
        "revision": pretrained or "local",
        "weights_sha256": weights_sha256(network),
        "dtype": dtype,
        "preprocessing": preprocessing,
        "structure": structure(network),
        "config": inner_configs(network),
        "packages": package_versions("open_clip_torch", "torch", "torchvision", "pillow"),
    }
