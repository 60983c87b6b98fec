"""Spectra of what two encoders share, fitted on one half of the pairs and measured on the other.

Place in the flow: principal components of both sides, labels -> covariances of halves -> a Spectrum a way -> phases.py.

Pairs are cut into blocks once, and a half is one half of the blocks: its covariances are sums over them, so that many
halves cost hardly more than one.

Axes:  halves = random halves;  fields = components of the left, then of the right, then labels.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

BLOCKS = 20
RIDGE = 1e-3
"""Added to variances before they or their roots are divided by, in multiples of their mean."""


class Halves(NamedTuple):
    """The block of each pair, and which blocks are in the half that is fitted on."""

    block: Int64[np.ndarray, " items"]
    fitted: Bool[np.ndarray, "halves blocks"]


class Moments(NamedTuple):
    """Covariances of the half that is fitted on, and of the other.

    Attributes:
        fitted, held: of all fields.
        left, right, labels: which fields these are.
        num_held: pairs of the other half, at least.
    """

    fitted: Float64[Tensor, "halves fields fields"]
    held: Float64[Tensor, "halves fields fields"]
    left: slice
    right: slice
    labels: slice
    num_held: int


class Coordinate(NamedTuple):
    """A number of each item for each component: its fields of one side, mapped."""

    side: slice
    map: Float64[Tensor, "halves dim components"]


class Spectrum(NamedTuple):
    """Components of one way of learning, the strongest of the fitted half first.

    Attributes:
        values: of each on the other half, at least 0: a correlation, or how much is predicted, as a standard deviation.
        explained: R² of labels by it on the other half, summed over labels.
        floor: of R²: what components that explain nothing reach by chance.
    """

    values: Float64[Tensor, "halves components"]
    explained: Float64[Tensor, "halves components"]
    floor: float


def halves_of(num_items: int, draws: int, generator: np.random.Generator) -> Halves:
    """Random blocks, and random halves of them."""
    block = generator.permutation(np.arange(num_items) % BLOCKS)
    return Halves(block, np.argsort(generator.random((draws, BLOCKS)), axis=1) < BLOCKS // 2)


def moments_of(
    left: Float[np.ndarray, "items left"],
    right: Float[np.ndarray, "items right"],
    labels: Float[np.ndarray, "items labels"],
    halves: Halves,
) -> Moments:
    """Covariances of both halves, each around its own means."""
    fields = torch.from_numpy(np.concatenate([left, right, labels], axis=1).astype(np.float64))
    rows = [fields[torch.from_numpy(halves.block == number)] for number in range(BLOCKS)]
    products, sums = torch.stack([some.T @ some for some in rows]), torch.stack([some.sum(dim=0) for some in rows])
    counts = torch.tensor([len(some) for some in rows]).double()
    is_fitted = torch.from_numpy(halves.fitted)
    fitted, held = (_covariances(taken.double(), products, sums, counts) for taken in (is_fitted, ~is_fitted))
    ends = np.cumsum([0, left.shape[1], right.shape[1], labels.shape[1]]).tolist()
    slices = [slice(*pair) for pair in pairwise(ends)]
    return Moments(fitted, held, *slices, num_held=int(((~is_fitted).double() @ counts).min()))


def _covariances(
    taken: Float64[Tensor, "halves blocks"], products: Tensor, sums: Tensor, counts: Tensor
) -> Float64[Tensor, "halves fields fields"]:
    num = taken @ counts
    means = taken @ sums / num[:, None]
    found = torch.tensordot(taken, products, dims=1) / num[:, None, None]
    return found - means[:, :, None] * means[:, None, :]


def aligned(moments: Moments) -> Spectrum:
    """Canonical correlations, singular values of Sxx^-1/2 Sxy Syy^-1/2; both coordinates together explain labels."""
    x, y, fitted = moments.left, moments.right, moments.fitted
    root_x, root_y = _inverse_root(fitted[:, x, x]), _inverse_root(fitted[:, y, y])
    one, _, other = torch.linalg.svd(root_x @ fitted[:, x, y] @ root_y, full_matrices=False)
    coordinates = [Coordinate(x, root_x @ one), Coordinate(y, root_y @ other.mT)]
    held = _together(moments.held, coordinates)
    values = held[..., 0, 1] / (held[..., 0, 0] * held[..., 1, 1]).sqrt().clamp(min=1e-12)
    return Spectrum(values.clamp(min=0), _explained(moments, coordinates), _floor(moments, 2))


def predicted(moments: Moments, source: slice, goal: slice) -> Spectrum:
    """Singular values of Syx Sxx^-1/2, where y is predicted from x; coordinates on the side of x explain labels.

    Args:
        moments: of both sides.
        source, goal: `moments.left` and `moments.right`, or the other way round.
    """
    root = _inverse_root(moments.fitted[:, source, source])
    found, _, directions = torch.linalg.svd(moments.fitted[:, goal, source] @ root, full_matrices=False)
    coordinate, predictions = Coordinate(source, root @ directions.mT), Coordinate(goal, found)
    held = _together(moments.held, [coordinate, predictions])
    values = held[..., 0, 1] / held[..., 0, 0].sqrt().clamp(min=1e-12)
    return Spectrum(values.clamp(min=0), _explained(moments, [coordinate]), _floor(moments, 1))


def _inverse_root(covariances: Float64[Tensor, "halves dim dim"]) -> Float64[Tensor, "halves dim dim"]:
    variances, directions = torch.linalg.eigh(covariances)
    variances = variances.clamp(min=0)
    raised = variances + RIDGE * variances.mean(dim=1, keepdim=True)
    return (directions * raised.rsqrt()[:, None, :]) @ directions.mT


def _together(
    of: Float64[Tensor, "halves fields fields"], coordinates: Sequence[Coordinate]
) -> Float64[Tensor, "halves components some some"]:
    """Covariances of the coordinates of each component."""
    found = [
        torch.stack([((of[:, one.side, other.side] @ other.map) * one.map).sum(dim=1) for other in coordinates], dim=2)
        for one in coordinates
    ]
    return torch.stack(found, dim=2)


def _with_labels(
    covariances: Float64[Tensor, "halves fields fields"], coordinates: Sequence[Coordinate], labels: slice
) -> Float64[Tensor, "halves components some labels"]:
    found = [one.map.mT @ covariances[:, one.side, labels] for one in coordinates]
    return torch.stack(found, dim=2)


def _explained(moments: Moments, coordinates: Sequence[Coordinate]) -> Float64[Tensor, "halves components"]:
    """R² of ridge regressions of each label on the coordinates of each component, summed over labels.

    The regressions are of the fitted half; their errors are those on the other, around its own means.
    """
    own = _together(moments.fitted, coordinates) + RIDGE * torch.eye(len(coordinates)).double()
    weights = torch.linalg.inv(own) @ _with_labels(moments.fitted, coordinates, moments.labels)
    held = _together(moments.held, coordinates) @ weights
    told = (weights * (2 * _with_labels(moments.held, coordinates, moments.labels) - held)).sum(dim=2)
    variances = moments.held[:, moments.labels, moments.labels].diagonal(dim1=1, dim2=2)[:, None, :]
    return torch.where(variances > 0, told / torch.where(variances > 0, variances, 1), 0).sum(dim=2)


def _floor(moments: Moments, num_coordinates: int) -> float:
    """Three standard deviations above the mean of what is explained of as many labels by chance, as of a chi square."""
    degrees = num_coordinates * (moments.labels.stop - moments.labels.start)
    return (degrees + 3 * (2 * degrees) ** 0.5) / moments.num_held
