"""Fréchet distance of two sets of features, each taken for a Gaussian.

Place in the flow: features of generated and of reference pictures -> Frechet.

Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS
2017, arXiv:1706.08500; over DINOv2's features Stein et al., "Exposing flaws of generative model evaluation metrics and
their unfair treatment of diffusion models", NeurIPS 2023, arXiv:2306.04675; without bias Chong & Forsyth, "Effectively
Unbiased FID and Inception Score and where to find them", CVPR 2020, arXiv:1911.07023.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from fusemix.fidelity.jackknife import BLOCKS, blocks_of, interval_of

SMALLEST_SHARE, SIZES = 0.5, 15
"""Of the pictures that the extrapolation begins with, and how many sizes it looks at."""
FEWEST_A_NUMBER = 2
"""Pictures that extrapolation needs for each number of a feature: with fewer, the distance is not linear in 1/N."""


class Frechet(NamedTuple):
    """A distance.

    Attributes:
        distance: squared, as it is always given; from 0.
        interval: of 95 %; None where a set has two pictures only.
        unbiased: what it would be of endlessly many pictures; None where there are too few to tell. It may be negative.
    """

    distance: float
    interval: tuple[float, float] | None
    unbiased: float | None


class Gaussian(NamedTuple):
    """Mean and covariance of a set, the latter as a root: covariance = root.T @ root."""

    mean: Float64[Tensor, " dim"]
    root: Float64[Tensor, "rank dim"]


def gaussian_of(features: Float64[Tensor, "items dim"]) -> Gaussian:
    """The Gaussian of some features, with the unbiased covariance.

    Args:
        features: of two items at least.
    """
    mean = features.mean(dim=0)
    root = (features - mean) / (len(features) - 1) ** 0.5
    return Gaussian(mean, torch.linalg.qr(root, mode="r").R if len(root) > root.shape[1] else root)


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """|m - m'|² + tr(C + C' - 2 (C C')^(1/2)), the squared Wasserstein-2 distance of two Gaussians.

    With roots R and R' of the covariances, tr (C C')^(1/2) is the sum of the singular values of R R'^T: no square root
    of a matrix is taken, and none of a small eigenvalue, so that fewer items than numbers do no harm.
    """
    shift = (one.mean - other.mean).square().sum()
    spread = one.root.square().sum() + other.root.square().sum()
    common = torch.linalg.svdvals(one.root @ other.root.T).sum()
    return max(float(shift + spread - 2 * common), 0.0)


def num_distances(sizes: tuple[int, int], dim: int) -> int:
    """Distances that `frechet` computes for sets of these sizes, and features of so many numbers."""
    blocks = sum(min(BLOCKS, size) for size in sizes) if min(sizes) > 2 else 0
    return 1 + blocks + (SIZES if min(sizes) >= FEWEST_A_NUMBER * dim else 0)


def frechet(
    generated: Float64[Tensor, "generated dim"],
    reference: Float64[Tensor, "reference dim"],
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> Frechet:
    """The distance, how far it would move, and what it would be of endlessly many pictures.

    Args:
        generated, reference: two items at least, on one device.
        seed: of the blocks of the jackknife and of the extrapolation's draws.
        advance: told the number of distances computed, of `num_distances`.
    """
    generator, sides = np.random.default_rng(seed), (generated, reference)
    whole = [gaussian_of(side) for side in sides]
    distance = frechet_distance(*whole)
    advance(1)
    interval = None
    if min(map(len, sides)) > 2:
        without = []
        for place, other in enumerate(reversed(whole)):
            found = []
            for part in _parts(sides[place], generator):
                found.append(frechet_distance(gaussian_of(part), other))
                advance(1)
            without.append(np.array(found))
        low, high = interval_of(distance, without)
        interval = max(low, 0.0), high
    return Frechet(distance, interval, unbiased_distance(generated, reference, generator, advance))


def _parts(side: Float64[Tensor, "items dim"], generator: np.random.Generator) -> Iterator[Float64[Tensor, "left dim"]]:
    blocks = torch.from_numpy(blocks_of(len(side), generator)).to(side.device)
    for block in range(int(blocks.max()) + 1):
        yield side[blocks != block]


def unbiased_distance(
    generated: Float64[Tensor, "generated dim"],
    reference: Float64[Tensor, "reference dim"],
    generator: np.random.Generator,
    advance: Callable[[int], None] = lambda count: None,
) -> float | None:
    """The distance as 1/N goes to 0, by a line through the distances of ever larger parts of both sets.

    Args:
        generated, reference: on one device.
        generator: draws the parts.
        advance: told of each distance.

    Returns:
        Where the line meets 1/N = 0; None where a set has fewer than two items for each number of a feature.
    """
    if min(len(generated), len(reference)) < FEWEST_A_NUMBER * generated.shape[1]:
        return None
    shares, found = np.linspace(SMALLEST_SHARE, 1.0, SIZES), []
    for share in shares.tolist():
        parts = [side[_some(len(side), share, generator)] for side in (generated, reference)]
        found.append(frechet_distance(*map(gaussian_of, parts)))
        advance(1)
    _, at_zero = np.polyfit(1 / shares, found, 1)
    return float(at_zero)


def _some(num_items: int, share: float, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(np.sort(generator.permutation(num_items)[: max(2, round(share * num_items))]))
