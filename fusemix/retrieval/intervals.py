"""How far figures would move with another sample of items: bootstrap intervals.

Place in the flow: one value a query, and the item that each query belongs to -> an interval for each figure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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


class _Prepared(NamedTuple):
    """A direction with its values as one matrix, and its ranks in order, so that a draw costs little."""

    names: list[str]
    values: Float[np.ndarray, "metrics queries"]
    order: Int64[np.ndarray, " queries"]
    ranks: Float[np.ndarray, " queries"]


def bootstrap_intervals(
    directions: Sequence[Sampled], *, seed: int, draws: int = DRAWS, advance: Callable[[int], None] = lambda count: None
) -> dict[str, tuple[float, float]]:
    """Percentile intervals (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993) of 95 %, over left items.

    Left items are drawn with replacement, and each brings all queries that belong to it, in both directions: five
    captions of one picture are not five independent observations. The gallery stays as it is.

    Args:
        directions: to be drawn together, so that sums over them have intervals too.
        seed: of the draws.
        draws: number of samples.
        advance: told the number of samples that are done.

    Returns:
        `<direction>/<metric>` for each metric and the median rank, `recall_sum` and `mean_recall` -> low and high.
    """
    prepared = [_prepared(direction) for direction in directions]
    found = []
    for weights in _draws(directions, seed, draws):
        found.append(_figures(prepared, weights))
        advance(1)
    bounds = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    low, high = np.percentile([list(figures.values()) for figures in found], bounds, axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(found[0], low, high, strict=True)}


def _draws(directions: Sequence[Sampled], seed: int, draws: int) -> Iterator[list[Int64[np.ndarray, " _queries"]]]:
    """How often each query of each direction is in a sample."""
    items = np.unique(np.concatenate([direction.owners for direction in directions]))
    places = [np.searchsorted(items, direction.owners) for direction in directions]
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        times = drawn_times(len(items), generator)
        weights = [times[place] for place in places]
        if all(weight.any() for weight in weights):
            yield weights


def drawn_times(num_items: int, generator: np.random.Generator) -> Int64[np.ndarray, " items"]:
    """How often each item occurs in a sample of as many items, drawn with replacement."""
    return np.bincount(generator.integers(num_items, size=num_items), minlength=num_items)


def _prepared(direction: Sampled) -> _Prepared:
    names = [f"{direction.name}/{metric}" for metric in (*direction.values, "median_rank")]
    ranks = direction.values["mean_rank"]
    order = np.argsort(ranks, kind="stable")
    return _Prepared(names, np.stack(list(direction.values.values())), order, ranks[order])


def _figures(directions: Sequence[_Prepared], weights: Sequence[Int64[np.ndarray, " _queries"]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for direction, weight in zip(directions, weights, strict=True):
        means = direction.values @ weight.astype(np.float64) / weight.sum()
        median = _median_of_sorted(direction.ranks, weight[direction.order])
        figures |= dict(zip(direction.names, [*means.tolist(), median], strict=True))
    recalls = [value for name, value in figures.items() if "/recall_at_" in name]
    return {**figures, "recall_sum": float(np.sum(recalls)), "mean_recall": float(np.mean(recalls))}


def weighted_median(values: Float[np.ndarray, " n"], times: Int64[np.ndarray, " n"]) -> float:
    """Median of values of which each occurs so many times."""
    order = np.argsort(values, kind="stable")
    return _median_of_sorted(values[order], times[order])


def _median_of_sorted(values: Float[np.ndarray, " n"], times: Int64[np.ndarray, " n"]) -> float:
    reached = np.cumsum(times)
    half = reached[-1] / 2
    low, high = np.searchsorted(reached, half, side="left"), np.searchsorted(reached, half, side="right")
    return float(values[low] + values[high]) / 2
