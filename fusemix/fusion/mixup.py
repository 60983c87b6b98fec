"""Latent mixup: blend two pairs into a third that is still a pair.

Place in the flow: LatentBatch of 2B pairs -> LatentBatch of B mixed pairs -> adapters.
Not here: drawing from disk (latents/), or anything with parameters (adapters.py).

Both sides must use the same partners and the same weight; otherwise row i of the left no longer
describes row i of the right. That is why the two halves and the weight are the only arguments.

Source: Vouitsis et al., "Data-Efficient Multimodal Fusion on a Single GPU", CVPR 2024, arXiv:2312.10144, algorithm 1.
"""

import numpy as np

from fusemix.interfaces import LatentBatch


def draw_weight(alpha: float, generator: np.random.Generator) -> float:
    """The share that the first half keeps, from Beta(alpha, alpha); one number for the whole batch.

    Args:
        alpha: above 0; 1 is uniform, the paper's choice.
        generator: source of randomness.
    """
    return float(generator.beta(alpha, alpha))


def halves(batch: LatentBatch) -> tuple[LatentBatch, LatentBatch]:
    """The first and the second half of an even number of pairs.

    Raises:
        ValueError: the number is odd.
    """
    count = len(batch.left)
    if count % 2:
        raise ValueError(f"{count} pairs cannot be halved")
    middle = count // 2
    first = LatentBatch(batch.left[:middle], batch.right[:middle])
    return first, LatentBatch(batch.left[middle:], batch.right[middle:])


def mix_pairs(first: LatentBatch, second: LatentBatch, *, weight: float) -> LatentBatch:
    """Blend pair i of the first half with pair i of the second, alike on both sides.

    Args:
        first, second: left (pairs, left_dim) and right (pairs, right_dim), not normalised.
        weight: share kept of the first half, in [0, 1]; 1 returns the first half, 0 the second.

    Returns:
        As many mixed pairs as each half has.
    """
    return LatentBatch(
        left=weight * first.left + (1 - weight) * second.left,
        right=weight * first.right + (1 - weight) * second.right,
    )
