"""The numbers of the charts: recall against depth, what a random order gives, and bins of ranks.

Place in the flow: ranks and numbers of links -> curves and bins -> charts.py.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

MOST_DEPTHS = 80
MARKED = (1, 5, 10)
"""Depths that are marked on a curve."""


class Curve(NamedTuple):
    """Recall of one direction, and that of a random order, at some depths; fractions."""

    name: str
    depths: Int64[np.ndarray, " depths"]
    recall: Float[np.ndarray, " depths"]
    chance: Float[np.ndarray, " depths"]


def depths(num_items: int) -> Int64[np.ndarray, " depths"]:
    """Depths from 1 to the whole gallery, evenly spread over a logarithmic axis, each once; 1, 5 and 10 among them."""
    spread = np.geomspace(1, num_items, MOST_DEPTHS).round().astype(np.int64)
    return np.union1d(spread, [k for k in MARKED if k <= num_items])


def recall_at(
    ranks: Int64[np.ndarray, " queries"], depths: Int64[np.ndarray, " depths"]
) -> Float[np.ndarray, " depths"]:
    """Share of ranks that are no greater than each depth."""
    return np.searchsorted(np.sort(ranks), depths, side="right") / len(ranks)


def rank_bounds(highest: int) -> list[int]:
    """Last ranks of the bins 1, 2, 3 to 5, 6 to 10, 11 to 20, 21 to 50, …; the last bin holds the highest rank."""
    bounds = [step * 10**power for power in range(len(str(highest)) + 1) for step in (1, 2, 5)]
    return bounds[: 1 + next(place for place, bound in enumerate(bounds) if bound >= highest)]
