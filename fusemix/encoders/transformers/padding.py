"""Sounds of unequal length side by side, for models that hear samples and can be kept from hearing padding.

Place in the flow: windows of samples -> passes of like length, padded -> states as if each window had gone alone.

Padding reaches a state of wav2vec 2 and its like in three ways. Attention: masked. The convolution that tells
positions: their own code sets padded states to zero before it, which is what it sees beyond the end of a sound that
goes alone. The norm behind the first convolution, where it is one over time (`feat_extract_norm="group"`: the base
models): taken here over the real part of each window.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

LEAST_FILLED = 0.75
"""Windows share a pass where none is shorter than this part of the longest, so that little is computed for nothing."""

# WavLM hands torch a mask beside numbers, of which torch warns once a process; it takes them as it should.
warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask", append=True)


def can_pad(config: Any) -> bool:
    """Whether nothing but the three ways above leads from padding to a state.

    Args:
        config: of the model. A batch norm before the positions (some HuBERT) makes zeros something else, and an adapter
            shortens what is masked.
    """
    return not (getattr(config, "conv_pos_batch_norm", False) or getattr(config, "add_adapter", False))


def passes_of(lengths: Sequence[int], least: int, most: int) -> list[list[int]]:
    """Which windows go through the model together.

    Args:
        lengths: samples of each window.
        least: shorter ones go alone, since a model cannot take them.
        most: windows in a pass.

    Returns:
        Places in `lengths`, the longest window of each pass first.
    """
    passes: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        last = passes[-1] if passes else []
        fits = last and len(last) < most and lengths[place] >= max(LEAST_FILLED * lengths[last[0]], least)
        if fits:
            last.append(place)
        else:
            passes.append([place])
    return passes


def padded(windows: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, "windows ..."]:
    """Windows in one tensor, filled up with zeros on the right."""
    return torch.nn.utils.rnn.pad_sequence(list(windows), batch_first=True)


def unpadded(
    windows: Float[Tensor, "windows samples"], lengths: Sequence[int]
) -> Iterator[tuple[Float[Tensor, "some length"], list[int]]]:
    """A pass of `passes_of` as parts of equal length, without padding: a CPU computes no faster side by side."""
    at = 0
    for length, alike in groupby(lengths):
        some = list(alike)
        yield windows[at : at + len(some), :length], some
        at += len(some)


def shortest(config: Any) -> int:
    """Samples that one state is made of, at least."""
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def is_real(lengths: Sequence[int], width: int, device: torch.device) -> Bool[Tensor, "windows width"]:
    """Where a window has something of its own."""
    return torch.arange(width, device=device) < torch.tensor(lengths, device=device)[:, None]


@contextmanager
def norms_over_real_frames(tower: Any, lengths: Sequence[int]) -> Iterator[None]:
    """Let a norm over time see the real part of each window alone, for one pass.

    Args:
        tower: wav2vec 2 or its like; those without such a norm stay as they are.
        lengths: samples of each window of the pass.
    """
    norm = getattr(tower.feature_extractor.conv_layers[0], "layer_norm", None)
    if not isinstance(norm, torch.nn.GroupNorm):
        yield
        return
    kernel, stride = tower.config.conv_kernel[0], tower.config.conv_stride[0]

    def forward(states: Float[Tensor, "windows channels frames"]) -> Float[Tensor, "windows channels frames"]:
        normed = torch.zeros_like(states)
        for window, length in enumerate(lengths):
            real = slice(window, window + 1), slice(None), slice(0, (length - kernel) // stride + 1)
            normed[real] = F.group_norm(states[real], norm.num_groups, norm.weight, norm.bias, norm.eps)
        return normed

    norm.forward = forward  # pyright: ignore[reportAttributeAccessIssue]: of the same shape, by its own name
    try:
        yield
    finally:
        del norm.forward
