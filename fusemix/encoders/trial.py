"""Two trial items, encoded before any real one: the same item must give the same latent, whatever stands beside it.

Place in the flow: an encoder that was just built, also a user's own -> the encoder, or a refusal.
Not here: what an item says; unlike items may be alike.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fusemix.errors import EncoderError, first_line
from fusemix.interfaces import Content, Encoder, Waveform

REPEATED = 1e-3
"""Largest change of a latent from one call to the next, as a share of its length; on a CPU it is 0."""
BESIDE, BESIDE_ON_GPU, BESIDE_IN_HALF = 1e-3, 1e-2, 1e-1
"""The same from an item alone to the item in a batch, which takes other kernels: in float32 on a CPU and on what may
round to TF32, and in fewer bits."""

SHORT = "a red ball"
LONG = " ".join(["two small children laugh and throw red balls while a dog runs over the green grass"] * 6)


def trial_contents(modality: str, sample_rate: int | None) -> tuple[Content, Content] | None:
    """A short and a long item of a modality, or None where nothing is known of it."""
    noise = np.random.default_rng(0)
    if modality == "text":
        return SHORT, LONG
    if modality == "image":
        sizes = ((48, 64, 3), (96, 80, 3))
        small, large = (Image.fromarray(noise.integers(0, 256, size, dtype=np.uint8)) for size in sizes)
        return small, large
    if modality == "audio":
        rate = sample_rate or 16_000
        short, long = (noise.standard_normal(seconds * rate // 2).astype(np.float32) / 10 for seconds in (1, 3))
        return Waveform(short, rate), Waveform(long, rate)
    return None


def first_latents(encoder: Any, content: Content, model: str) -> Tensor:
    """Latents of one item, from an encoder that is being built.

    Args:
        encoder: that can prepare, collate and encode.
        content: any item of its modality.
        model: for the message.

    Raises:
        EncoderError: its model gives none: it wants other inputs, or has no states that can be pooled.
    """
    try:
        return encoder.encode(encoder.collate(encoder.prepare([content])))
    except (EncoderError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a model raises on inputs that it was not made for
        raise EncoderError(
            f"the model {model!r} gives no latent of {encoder.modality} alone "
            f"({type(error).__name__}: {first_line(error)[:200]}). "
            "Take another model, or wrap it as an encoder of your own (module:factory)."
        ) from error


def refuse_blind_first_token(encoder: Any, pooling: str) -> None:
    """Refuse a first token that sees nothing of the item: of a model that reads forwards, or in a low layer.

    Raises:
        EncoderError: it is the same for two unlike items.
    """
    contents = trial_contents(encoder.modality, encoder.sample_rate)
    if "cls" not in pooling or contents is None:
        return
    one, other = (_latents(encoder, [content])[0] for content in contents)
    width = len(one) // (2 if pooling == "cls+mean" else 1)
    if torch.allclose(one[:width], other[:width], rtol=1e-4, atol=1e-6):
        raise EncoderError(
            f"pooling={pooling}: the first token of this model sees nothing of what follows (it reads from left to "
            f"right, or the layer is too low), so unlike items would be alike. Use {_instead(encoder.modality)}."
        )


def _instead(modality: str) -> str:
    return "pooling=last_token or pooling=mean" if modality == "text" else "pooling=mean or a higher layer"


def refuse_unsteady(encoder: Encoder, name: str) -> None:
    """Encode two trial items twice alone, and one behind the longer one, on the device where the encoder is.

    An encoder that raises here is let pass: its items will be set aside one by one, with their reasons.

    Args:
        encoder: just built.
        name: for the message.

    Raises:
        EncoderError: the latents differ by more than rounding.
    """
    contents = trial_contents(encoder.modality, encoder.sample_rate)
    if contents is None:
        return
    short, long = contents
    try:
        once, again, cut, cut_again = (_latents(encoder, [one])[0] for one in (short, short, long, long))
        beside = _latents(encoder, [long, short])[1]
        changes = [max(_change(once, again), _change(cut, cut_again)), _change(once, beside)]
    except Exception:  # whatever an encoder raises on such an item
        return
    in_half = encoder.fingerprint.get("dtype", "float16") != "float32"
    beside_allowed = BESIDE_IN_HALF if in_half else BESIDE if once.is_cpu else BESIDE_ON_GPU
    if changes[0] > REPEATED:
        raise EncoderError(
            f"{name}: the same item gives another latent each time ({changes[0]:.1%} away), since the model masks, "
            "drops or crops at random, as ViT-MAE does. Take another model; in an encoder of your own, switch that off."
        )
    if changes[1] > beside_allowed:
        raise EncoderError(
            f"{name}: an item gives another latent in a batch than alone ({changes[1]:.1%} away), since the model sees "
            "its neighbours or their padding. Take another model; in one of your own, use evaluation mode and masks."
        )


def _latents(encoder: Any, contents: list[Content]) -> Tensor:
    with torch.inference_mode():
        return encoder.encode(encoder.collate(encoder.prepare(contents))).double()


def _change(one: Tensor, other: Tensor) -> float:
    """Distance as a share of the length; 0 where a latent is not finite, which is said where it is stored."""
    return float(((one - other).norm() / one.norm().clamp(min=1e-12)).nan_to_num(nan=0.0))
