"""How surely one model's mean recall differs from another's on the same held-out items.

Place in the flow: both directions of two models -> the difference of their mean recalls, and its standard error.
Not here: tests and intervals of runs that are compared (comparison.py).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fusemix.retrieval.metrics import Direction

Directions = tuple[Direction, Direction]
"""Of left to right, then of right to left."""


class Gain(NamedTuple):
    """Mean recall of one model and of another.

    Attributes:
        before, after: of both, as fractions.
        error: standard error of their difference, by left items; infinity where there is one alone.
    """

    before: float
    after: float
    error: float


def gain(before: Directions, after: Directions, links: Int64[np.ndarray, "links 2"]) -> Gain:
    """How much mean recall has changed between two models.

    Queries that belong to one left item, such as the captions of a picture, are no independent observations, so the
    mean is a sum over left items, and its variance that of such a sum (Cochran, "Sampling Techniques", 1977, 9.3).

    Args:
        before, after: measured on the same items, with depths of recall alike.
        links: (left position, right position) of these items.
    """
    lefts, owners = _owners(links)
    shares = np.zeros(len(lefts))
    for place, both in enumerate(zip(before, after, strict=True)):
        found = _hits(both[1]) - _hits(both[0])
        owner = owners[both[0].ranks.queries] if place else np.searchsorted(lefts, both[0].ranks.queries)
        shares += np.bincount(owner, weights=found / (2 * len(found)), minlength=len(lefts))
    error = shares.std(ddof=1) * len(shares) ** 0.5 if len(shares) > 1 else np.inf
    return Gain(_recall(before), _recall(after), float(error))


def _recall(both: Directions) -> float:
    return float(np.mean([_hits(direction).mean() for direction in both]))


def _hits(direction: Direction) -> Float64[np.ndarray, " queries"]:
    """Mean recall of each query over all depths."""
    return np.mean([values for name, values in direction.values.items() if name.startswith("recall_at_")], axis=0)


def _owners(links: Int64[np.ndarray, "links 2"]) -> tuple[Int64[np.ndarray, " lefts"], Int64[np.ndarray, " rights"]]:
    """Left items with a link, and the place among them of the first one that each right position is linked to."""
    lefts = np.unique(links[:, 0])
    links = links[np.lexsort((links[:, 0], links[:, 1]))]
    rights, first = np.unique(links[:, 1], return_index=True)
    owners = np.full(rights[-1] + 1, -1)
    owners[rights] = np.searchsorted(lefts, links[first, 0])
    return lefts, owners
