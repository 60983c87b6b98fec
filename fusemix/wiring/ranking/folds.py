"""A quick closed form, fitted on most of the pairs and asked about the others, fold by fold.

Place in the flow: principal components of stores -> covariances of folds -> canonical maps -> ranks of held-out pairs.

Each fold is a gallery of its own, which maps of the other folds are asked about. Their ridge is chosen on the fold
behind it by maps of the remaining ones, so nothing that is asked about was seen before. What belongs to one store alone
is found once, whatever it is paired with.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fusemix.fusion.closed_form import LinearMap, Moments, canonical_maps, mapped
from fusemix.retrieval.metrics import values_of
from fusemix.retrieval.ranks import Ranks, ranks_both_ways

FOLDS = 5
RIDGES = (0.1, 0.3, 1.0, 3.0)
"""Of both sides alike; see `canonical_maps`."""
POWER = 0.75
KS = (1, 5, 10)
Left = tuple[int, ...]
"""Folds that are left out of a fit."""


class Folds(NamedTuple):
    """Which fold each pair is in, and their pairs."""

    rows: list[Int64[np.ndarray, " fold"]]

    @classmethod
    def of(cls, num_pairs: int, generator: np.random.Generator) -> "Folds":
        """Random folds, all as large but for one pair."""
        return cls(np.array_split(generator.permutation(num_pairs), FOLDS))


class _Own(NamedTuple):
    """Of some folds together: their mean, and variances along the directions that they vary in."""

    mean: Tensor
    variances: Tensor
    directions: Tensor


class FoldedStore:
    """One store, cut into folds.

    Args:
        latents: principal components, all pairs.
        folds: of these.
    """

    def __init__(self, latents: Float32[Tensor, "pairs dim"], folds: Folds) -> None:
        self.parts = [latents[torch.from_numpy(rows)] for rows in folds.rows]
        self.sums = [part.double().sum(dim=0) for part in self.parts]
        products = [part.T @ part for part in self.parts]
        self._own = {left: self._without(left, products) for left in _fits()}

    def own(self, left: Left) -> _Own:
        """Of all but some folds."""
        return self._own[left]

    def num_pairs(self, left: Left) -> int:
        """In all but some folds."""
        return sum(len(self.parts[fold]) for fold in _others(left))

    @cached_property
    def dim(self) -> int:
        """Width."""
        return self.parts[0].shape[1]

    def _without(self, left: Left, products: list[Tensor]) -> _Own:
        num = self.num_pairs(left)
        mean = torch.stack([self.sums[fold] for fold in _others(left)]).sum(dim=0) / num
        product = torch.stack([products[fold] for fold in _others(left)]).double().sum(dim=0)
        variances, directions = torch.linalg.eigh(product / num - mean[:, None] * mean)
        return _Own(mean.float(), variances.float(), directions.float())


def _others(left: Left) -> list[int]:
    return [fold for fold in range(FOLDS) if fold not in left]


def _behind(fold: int) -> int:
    return (fold + 1) % FOLDS


def _fits() -> list[Left]:
    return [left for fold in range(FOLDS) for left in ((fold,), (fold, _behind(fold)))]


class Asked(NamedTuple):
    """Held-out pairs of all folds, in the order of folds.

    Attributes:
        values: of the left, which asks for the right, and of the right: metric -> one value a pair.
        pairs: which each is.
        ridges: that were chosen, by fold.
        gallery: pairs of the smallest fold.
    """

    values: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    pairs: Int64[np.ndarray, " pairs"]
    ridges: list[float]
    gallery: int


def asked(one: FoldedStore, other: FoldedStore, folds: Folds) -> Asked:
    """Ask closed forms of two stores about the pairs of each fold."""
    products = [left.T @ right for left, right in zip(one.parts, other.parts, strict=True)]
    found: list[tuple[Ranks, Ranks]] = []
    ridges: list[float] = []
    for fold in range(FOLDS):
        chosen_by = _moments(one, other, products, (fold, _behind(fold)))
        ridges.append(max(RIDGES, key=lambda ridge: _recall(_ranks(one, other, chosen_by, ridge, _behind(fold)))))
        found.append(_ranks(one, other, _moments(one, other, products, (fold,)), ridges[-1], fold))
    ways = []
    for way in (0, 1):
        values = [values_of(ranks[way], KS) for ranks in found]
        ways.append({name: np.concatenate([each[name] for each in values]) for name in values[0]})
    return Asked((ways[0], ways[1]), np.concatenate(folds.rows), ridges, min(map(len, folds.rows)))


def _moments(one: FoldedStore, other: FoldedStore, products: list[Tensor], left: Left) -> Moments:
    a, b = one.own(left), other.own(left)
    product = torch.stack([products[fold] for fold in _others(left)]).sum(dim=0)
    covariance = product / one.num_pairs(left) - a.mean[:, None] * b.mean
    return Moments(a.mean, b.mean, a.variances, a.directions, b.variances, b.directions, covariance)


def _ranks(one: FoldedStore, other: FoldedStore, moments: Moments, ridge: float, fold: int) -> tuple[Ranks, Ranks]:
    dims = min(one.dim, other.dim)
    maps: tuple[LinearMap, LinearMap] = canonical_maps(
        moments, dims=dims, left_ridge=ridge, right_ridge=ridge, power=POWER
    )
    left, right = (mapped(side.parts[fold], found) for side, found in zip((one, other), maps, strict=True))
    return ranks_both_ways(left, right, np.repeat(np.arange(len(left))[:, None], 2, axis=1))


def _recall(ranks: tuple[Ranks, Ranks]) -> float:
    return float(np.mean([(way.ranks <= k).mean() for way in ranks for k in KS]))
