"""A quick closed form, fitted on most of the pairs and asked about the others, fold by fold.

Place in the flow: principal components of stores -> covariances of folds -> canonical maps -> ranks of held-out pairs.

One fold chooses the ridge, and is asked about no more. Each of the others is a gallery of its own, which maps of all
folds but it are asked about. What belongs to one store alone is found once, whatever it is paired with.
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

FOLDS, CHOOSING = 5, 0
"""How many, and which one the ridge is chosen on."""
RIDGES = (0.1, 0.3, 1.0, 3.0)
"""Of both sides alike; see `canonical_maps`."""
POWER = 0.75
KS = (1, 5, 10)


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

    Attributes:
        parts: latents by fold.
        own: by the fold that is left out.
    """

    def __init__(self, latents: Float32[Tensor, "pairs dim"], folds: Folds) -> None:
        self.parts = [latents[torch.from_numpy(rows)] for rows in folds.rows]
        self.sums = [part.double().sum(dim=0) for part in self.parts]
        products = [part.T @ part for part in self.parts]
        self.own = [self._without(fold, products) for fold in range(FOLDS)]

    def num_pairs(self, fold: int) -> int:
        """In all but one fold."""
        return sum(len(self.parts[other]) for other in others(fold))

    @cached_property
    def dim(self) -> int:
        """Width."""
        return self.parts[0].shape[1]

    def _without(self, fold: int, products: list[Tensor]) -> _Own:
        num = self.num_pairs(fold)
        mean = torch.stack([self.sums[other] for other in others(fold)]).sum(dim=0) / num
        product = torch.stack([products[other] for other in others(fold)]).double().sum(dim=0)
        variances, directions = torch.linalg.eigh(product / num - mean[:, None] * mean)
        return _Own(mean.float(), variances.float(), directions.float())


def others(fold: int) -> list[int]:
    """All folds but one."""
    return [other for other in range(FOLDS) if other != fold]


class Asked(NamedTuple):
    """Held-out pairs of all folds but the one that chose, in the order of folds.

    Attributes:
        values: of the left, which asks for the right, and of the right: metric -> one value a pair.
        pairs: which each is.
        ridge: that was chosen.
    """

    values: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    pairs: Int64[np.ndarray, " pairs"]
    ridge: float


def asked(one: FoldedStore, other: FoldedStore, folds: Folds) -> Asked:
    """Ask closed forms of two stores about the pairs of each fold."""
    products = [left.T @ right for left, right in zip(one.parts, other.parts, strict=True)]
    moments = [_moments(one, other, products, fold) for fold in range(FOLDS)]
    recalls = [_recall(_ranks(one, other, moments[CHOOSING], ridge, CHOOSING)) for ridge in RIDGES]
    ridge = RIDGES[int(np.argmax(recalls))]
    found = [_ranks(one, other, moments[fold], ridge, fold) for fold in others(CHOOSING)]
    ways = []
    for way in (0, 1):
        values = [values_of(ranks[way], KS) for ranks in found]
        ways.append({name: np.concatenate([each[name] for each in values]) for name in values[0]})
    pairs = np.concatenate([folds.rows[fold] for fold in others(CHOOSING)])
    return Asked((ways[0], ways[1]), pairs, ridge)


def _moments(one: FoldedStore, other: FoldedStore, products: list[Tensor], fold: int) -> Moments:
    a, b = one.own[fold], other.own[fold]
    product = torch.stack([products[each] for each in others(fold)]).sum(dim=0)
    covariance = product / one.num_pairs(fold) - a.mean[:, None] * b.mean
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
