"""How far figures would move with another sample of items: bootstrap intervals.

Place in the flow: one value a query, and the item that each query belongs to -> an interval for each figure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

DRAWS = 1000
LEVEL = 0.95


class Sampled(NamedTuple):
    """The queries of one direction, as the bootstrap sees them.

    Attributes:
        name: of the direction.
        values: metric -> one value a query.
        owners: the left item that each query belongs to.
    """

    name: str
    values: Mapping[str, Float[np.ndarray, " queries"]]
    owners: Int64[np.ndarray, " queries"]


def bootstrap_intervals(
    directions: Sequence[Sampled], *, seed: int, draws: int = DRAWS
) -> dict[str, tuple[float, float]]:
    """Percentile intervals (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993) of 95 %, over left items.

    Left items are drawn with replacement, and each brings all queries that belong to it, in both directions: five
    captions of one picture are not five independent observations. The gallery stays as it is.

    Args:
        directions: to be drawn together, so that sums over them have intervals too.
        seed: of the draws.
        draws: number of samples.

    Returns:
        `<direction>/<metric>` for each metric and the median rank, `recall_sum` and `mean_recall` -> low and high.
    """
    found = [_figures(directions, weights) for weights in _draws(directions, seed, draws)]
    bounds = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    low, high = np.percentile([list(figures.values()) for figures in found], bounds, axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(found[0], low, high, strict=True)}


def _draws(directions: Sequence[Sampled], seed: int, draws: int) -> Iterator[list[Int64[np.ndarray, " _queries"]]]:
    """How often each query of each direction is in a sample."""
    items = np.unique(np.concatenate([direction.owners for direction in directions]))
    places = [np.searchsorted(items, direction.owners) for direction in directions]
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        times = np.bincount(generator.integers(len(items), size=len(items)), minlength=len(items))
        weights = [times[place] for place in places]
        if all(weight.any() for weight in weights):
            yield weights


def _figures(directions: Sequence[Sampled], weights: Sequence[Int64[np.ndarray, " _queries"]]) -> dict[str, float]:
    figures = {}
    for direction, weight in zip(directions, weights, strict=True):
        for metric, values in direction.values.items():
            figures[f"{direction.name}/{metric}"] = float(weight @ values / weight.sum())
        figures[f"{direction.name}/median_rank"] = weighted_median(direction.values["mean_rank"], weight)
    recalls = [value for name, value in figures.items() if "/recall_at_" in name]
    return {**figures, "recall_sum": float(np.sum(recalls)), "mean_recall": float(np.mean(recalls))}


def weighted_median(values: Float[np.ndarray, " n"], times: Int64[np.ndarray, " n"]) -> float:
    """Median of values of which each occurs so many times."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(times[order])
    half = reached[-1] / 2
    low, high = np.searchsorted(reached, half, side="left"), np.searchsorted(reached, half, side="right")
    return float(values[order[low]] + values[order[high]]) / 2
