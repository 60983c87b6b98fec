"""Adapters without a training loop: canonical correlation analysis with ridges, its directions weighted.

Place in the flow: latents of linked items -> a linear map a side, into one space.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.interfaces import LatentBatch

CONSTANT = 1e-12
"""A direction whose variance, with the ridge, is no larger than this share of the largest one is left out."""
PairChunks = Callable[[], Iterable[LatentBatch]]
"""Gives the pairs that are fitted on, prepared as for an adapter, some at a time, as often as it is called."""


RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
CHOICES = {"left_ridge": RIDGES, "right_ridge": RIDGES, "power": (0.0, 0.5, 0.75, 1.0)}
"""Settings of the closed form that are tried on validation."""


class ClosedForm(NamedTuple):
    """Settings of `canonical_maps`."""

    left_ridge: float
    right_ridge: float
    power: float


class Moments(NamedTuple):
    """Means and covariances of linked latents, in float64, with the directions in which a side varies."""

    left_mean: Float[Tensor, " left"]
    right_mean: Float[Tensor, " right"]
    left_variances: Float[Tensor, " left"]
    left_directions: Float[Tensor, "left left"]
    right_variances: Float[Tensor, " right"]
    right_directions: Float[Tensor, "right right"]
    covariance: Float[Tensor, "left right"]


class LinearMap(NamedTuple):
    """latents @ weight.T + bias."""

    weight: Float[Tensor, "dims dim"]
    bias: Float[Tensor, " dims"]


class Weighted(NamedTuple):
    """Some of the pairs that are fitted on.

    Attributes:
        chunks: gives them.
        weight: of all of them together, above 0.
    """

    chunks: PairChunks
    weight: float


def pair_moments(chunks: PairChunks, *more: Weighted) -> Moments:
    """Means and covariances over pairs.

    Args:
        chunks: pairs, whose weight is 1.
        more: further ones.
    """
    groups = [Weighted(chunks, 1.0), *more]
    sums = [_sums(group.chunks) for group in groups]
    total = sum(group.weight for group in groups)
    shares = [group.weight / total / one.num_pairs for group, one in zip(groups, sums, strict=True)]  # of a pair
    left_mean, right_mean = (
        torch.stack([share * one.totals[side] for share, one in zip(shares, sums, strict=True)]).sum(dim=0)
        for side in (0, 1)
    )
    of_left, of_right, of_both = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for share, group in zip(shares, groups, strict=True):
        for chunk in group.chunks():
            left, right = chunk.left.double() - left_mean, chunk.right.double() - right_mean
            of_left, of_right = of_left + share * left.T @ left, of_right + share * right.T @ right
            of_both = of_both + share * left.T @ right
    left_variances, left_directions = torch.linalg.eigh(of_left)
    right_variances, right_directions = torch.linalg.eigh(of_right)
    return Moments(left_mean, right_mean, left_variances, left_directions, right_variances, right_directions, of_both)


class _Sums(NamedTuple):
    """Sums of the latents of both sides, and how many pairs they are of."""

    totals: tuple[Tensor, Tensor]
    num_pairs: int


def _sums(chunks: PairChunks) -> _Sums:
    left, right, count = torch.zeros(()), torch.zeros(()), 0
    for chunk in chunks():
        left, right = left + chunk.left.double().sum(dim=0), right + chunk.right.double().sum(dim=0)
        count += len(chunk.left)
    return _Sums((left, right), count)


def canonical_maps(
    moments: Moments, *, dims: int, left_ridge: float, right_ridge: float, power: float
) -> tuple[LinearMap, LinearMap]:
    """Maps of both sides under which linked items correlate most.

    Regularised canonical correlation analysis (Vinod 1976): the directions are the singular vectors of
    Cxx^-1/2 Cxy Cyy^-1/2, with ridges on Cxx and Cyy, and their singular values are the correlations r. Each side's
    coordinates are scaled by r^power before they are brought to unit length, so a cosine weighs direction i by
    r_i^(2 power), and so do both lengths that it is divided by.

    CSA (Li et al., "CSA: Data-efficient Mapping of Unimodal Features to Multimodal Features", ICLR 2025,
    arXiv:2410.07610) begins alike and scores otherwise: it brings plain coordinates to unit length first, and weighs
    their products by r once. There what is noise in a weak direction makes a vector long, and takes from its strong
    ones; here it is scaled down before. On the same latents this is better (docs/recipes.md says by how much).

    Args:
        moments: of the linked latents.
        dims: directions kept, of which there are no more than the narrower side is wide.
        left_ridge, right_ridge: at least 0; added to each variance of a side, in multiples of their mean. Directions in
            which a side does not vary are left out where no ridge bears them.
        power: of the correlation, by which a direction is scaled; 0 leaves plain CCA.
    """
    left_root = _inverse_root(moments.left_variances, moments.left_directions, left_ridge)
    right_root = _inverse_root(moments.right_variances, moments.right_directions, right_ridge)
    left, correlations, right = torch.linalg.svd(left_root @ moments.covariance @ right_root, full_matrices=False)
    scale = correlations[:dims].clamp(0, 1) ** power
    left_weight = (left_root @ left[:, :dims] * scale).T
    right_weight = (right_root @ right[:dims].T * scale).T
    return (
        LinearMap(left_weight, -left_weight @ moments.left_mean),
        LinearMap(right_weight, -right_weight @ moments.right_mean),
    )


def mapped(prepared: Float[Tensor, "rows dim"], found: LinearMap) -> Float[Tensor, "rows dims"]:
    """Embeddings of unit length, in float32."""
    rows = prepared.float() @ found.weight.T.float() + found.bias.float()
    return torch.nn.functional.normalize(rows, dim=1)


def climbed(
    recall: Callable[[ClosedForm], float], given: Mapping[str, float | None] = MappingProxyType({})
) -> ClosedForm:
    """The best of some settings, found by changing one at a time, twice through; what was given is left alone.

    Args:
        recall: of held-out pairs, with some settings.
        given: settings that are not to be chosen, by name.
    """
    at = {name: given.get(name) for name in CHOICES}
    free = [name for name, value in at.items() if value is None]
    best = ClosedForm(**{name: 1.0 if value is None else value for name, value in at.items()})
    seen = {best: recall(best)} if free else {}
    for name in free * 2:
        for value in CHOICES[name]:
            tried = best._replace(**{name: value})
            if tried not in seen:
                seen[tried] = recall(tried)
        best = max(seen, key=lambda setting: seen[setting])
    return best


def _inverse_root(variances: Tensor, directions: Tensor, ridge: float) -> Tensor:
    variances = variances.clamp(min=0)
    raised = variances + ridge * variances.mean()
    is_constant = raised <= CONSTANT * variances.max()
    return (directions * torch.where(is_constant, 0.0, raised.rsqrt())) @ directions.T
