"""Latent mixup: blend two pairs into a third that is still a pair, and what the paper compares it with.

Place in the flow: LatentBatch of 2B pairs -> LatentBatch of B mixed pairs -> adapters.
Not here: drawing from disk (latents/), or anything with parameters (adapters/).

In FuseMix both sides use the same partners and the same weight; otherwise row i of the left no longer describes row i
of the right. The other variants are there for the ablation.

Source: Vouitsis et al., "Data-Efficient Multimodal Fusion on a Single GPU", CVPR 2024, arXiv:2312.10144, algorithm 1.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.errors import ConfigError
from fusemix.fusion.gathering import num_processes, own_rank
from fusemix.interfaces import LatentBatch
from fusemix.parts.ranges import within

MOST_STD = 1000.0
Weight = float | Float[Tensor, "pairs 1"]


class Augmentation(NamedTuple):
    """What is done to latents in a training step.

    Attributes:
        parts: stretches of a loaded batch whose row i become one pair: 2 where halves are mixed, else 1.
        apply: own pairs, and randomness that is the same in all processes -> augmented pairs.
    """

    parts: int
    apply: Callable[[LatentBatch, np.random.Generator], LatentBatch]


def none() -> Augmentation:
    """Pairs as they are."""
    return Augmentation(1, lambda batch, generator: batch)


def per_batch(*, alpha: float = 1.0) -> Augmentation:
    """FuseMix: one weight for the whole batch and both sides, from Beta(alpha, alpha); the paper's alpha is 1.

    Args:
        alpha: of the weights' Beta(alpha, alpha) distribution, above 0; at 1 all weights are equally likely.

    Raises:
        ConfigError: alpha is not above 0.
    """
    _require_positive(alpha)

    def apply(batch: LatentBatch, generator: np.random.Generator) -> LatentBatch:
        return mix_pairs(*halves(batch), weight=draw_weight(alpha, generator))

    return Augmentation(2, apply)


def per_pair(*, alpha: float = 1.0) -> Augmentation:
    """A weight of its own for each pair, the same on both sides.

    Args:
        alpha: of the weights' Beta(alpha, alpha) distribution, above 0; at 1 all weights are equally likely.

    Raises:
        ConfigError: alpha is not above 0.
    """
    _require_positive(alpha)

    def apply(batch: LatentBatch, generator: np.random.Generator) -> LatentBatch:
        first, second = halves(batch)
        return mix_pairs(first, second, weight=draw_weights(alpha, first.left, generator))

    return Augmentation(2, apply)


def separate(*, alpha: float = 1.0) -> Augmentation:
    """A weight for each side, which breaks the pairing: the control of the ablation.

    Args:
        alpha: of the weights' Beta(alpha, alpha) distribution, above 0; at 1 all weights are equally likely.

    Raises:
        ConfigError: alpha is not above 0.
    """
    _require_positive(alpha)

    def apply(batch: LatentBatch, generator: np.random.Generator) -> LatentBatch:
        first, second = halves(batch)
        left, right = (mix_pairs(first, second, weight=draw_weight(alpha, generator)) for _ in range(2))
        return LatentBatch(left.left, right.right)

    return Augmentation(2, apply)


def one_sided(*, side: str = "left", alpha: float = 1.0) -> Augmentation:
    """Mix one side and keep the first half of the other.

    Args:
        side: left or right.
        alpha: of the weights' Beta(alpha, alpha) distribution, above 0; at 1 all weights are equally likely.

    Raises:
        ConfigError: there is no such side, or alpha is not above 0.
    """
    if side not in ("left", "right"):
        raise ConfigError(f"mixup.options.side is {side!r}, but a pair has a left and a right side.")
    _require_positive(alpha)

    def apply(batch: LatentBatch, generator: np.random.Generator) -> LatentBatch:
        first, second = halves(batch)
        mixed = mix_pairs(first, second, weight=draw_weight(alpha, generator))
        return LatentBatch(mixed.left, first.right) if side == "left" else LatentBatch(first.left, mixed.right)

    return Augmentation(2, apply)


def noise(*, std: float = 0.1) -> Augmentation:
    """Gaussian noise on both sides, of `std` times the standard deviation of a side's numbers in the batch.

    Args:
        std: from 0, which leaves pairs as they are.

    Raises:
        ConfigError: it is negative, or out of all proportion.
    """
    within("mixup.options.std", std, 0.0, MOST_STD)

    def apply(batch: LatentBatch, generator: np.random.Generator) -> LatentBatch:
        left, right = (side + std * side.std() * torch.randn_like(side) for side in batch)
        return LatentBatch(left, right)

    return Augmentation(1, apply)


def _require_positive(alpha: float) -> None:
    if not 0 < alpha < math.inf:
        raise ConfigError(f"mixup.options.alpha is {alpha}, but must be above 0; mixup.name=none mixes nothing.")


def draw_weight(alpha: float, generator: np.random.Generator) -> float:
    """The share that the first half keeps, from Beta(alpha, alpha); one number for the whole batch.

    Args:
        alpha: above 0; 1 is uniform, the paper's choice.
        generator: source of randomness.
    """
    return float(generator.beta(alpha, alpha))


def draw_weights(
    alpha: float, like: Float[Tensor, "pairs dim"], generator: np.random.Generator
) -> Float[Tensor, "pairs 1"]:
    """A share for each own pair, drawn for those of all processes, so that it does not matter how many there are."""
    weights = generator.beta(alpha, alpha, size=(num_processes(), len(like)))[own_rank()]
    return torch.from_numpy(weights[:, None]).to(like.device, like.dtype, non_blocking=True)


def halves(batch: LatentBatch) -> tuple[LatentBatch, LatentBatch]:
    """The first and the second half of an even number of pairs; of each block of the right side, too.

    Raises:
        ValueError: the number is odd.
    """
    count = len(batch.left)
    if count % 2:
        raise ValueError(f"{count} pairs cannot be halved")
    blocks = batch.right.view(-1, 2, count // 2, batch.right.shape[1])
    first, second = (blocks[:, half].reshape(-1, batch.right.shape[1]) for half in (0, 1))
    return LatentBatch(batch.left[: count // 2], first), LatentBatch(batch.left[count // 2 :], second)


def mix_pairs(first: LatentBatch, second: LatentBatch, *, weight: Weight) -> LatentBatch:
    """Blend pair i of the first half with pair i of the second, alike on both sides.

    Args:
        first, second: left (pairs, left_dim) and right (pairs, right_dim), not normalised.
        weight: share kept of the first half, in [0, 1], for all pairs or each; 1 returns the first half, 0 the second.

    Returns:
        As many mixed pairs as each half has.
    """
    of_right = weight
    if isinstance(weight, Tensor):
        of_right = weight.repeat(len(first.right) // len(first.left), 1)
    return LatentBatch(_blend(first.left, second.left, weight), _blend(first.right, second.right, of_right))


def _blend(
    first: Float[Tensor, "rows dim"], second: Float[Tensor, "rows dim"], weight: Any
) -> Float[Tensor, "rows dim"]:
    """Their weighted sum, with one tensor beside it and not two: a large batch has GB of them."""
    return (weight * first).add_((1 - weight) * second)
