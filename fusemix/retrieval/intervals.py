"""How far figures would move with another sample of items: bootstrap intervals.

Place in the flow: one value a query, and the item that each query belongs to -> an interval for each figure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

DRAWS = 1000
LEVEL = 0.95
NUMBERS_AT_ONCE = 1 << 15
"""Drawn numbers held in memory at a time (256 KiB in int64, which caches hold)."""


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
    blocks = []
    for weights in _draws(directions, seed, draws):
        blocks.append(_figures(prepared, weights))
        advance(len(blocks[-1]))
    bounds = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    low, high = np.percentile(np.concatenate(blocks), bounds, axis=0)
    names = [*(name for direction in prepared for name in direction.names), "recall_sum", "mean_recall"]
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def _draws(directions: Sequence[Sampled], seed: int, draws: int) -> Iterator[list[Int64[np.ndarray, "draws _queries"]]]:
    """How often each query of each direction is in each sample, block by block."""
    items = np.unique(np.concatenate([direction.owners for direction in directions]))
    places = [np.searchsorted(items, direction.owners) for direction in directions]
    at_once = max(1, NUMBERS_AT_ONCE // sum(map(len, (items, *places))))
    for times in drawn_times(len(items), draws, np.random.default_rng(seed), at_once):
        weights = [times.take(place, axis=1) for place in places]
        counted = np.logical_and.reduce([weight.any(axis=1) for weight in weights])
        yield weights if counted.all() else [weight[counted] for weight in weights]


def drawn_times(
    num_items: int, draws: int, generator: np.random.Generator, at_once: int | None = None
) -> Iterator[Int64[np.ndarray, "draws items"]]:
    """How often each item occurs in samples of as many items, drawn with replacement, a block of samples at a time.

    Args:
        num_items: to draw from, and in each sample.
        draws: number of samples.
        generator: source of the draws; how many are in a block changes none of them.
        at_once: samples of a block; by default as many as NUMBERS_AT_ONCE holds.
    """
    step = at_once or max(1, NUMBERS_AT_ONCE // num_items)
    for at in range(0, draws, step):
        count = min(step, draws - at)
        chosen = generator.integers(num_items, size=(count, num_items))
        chosen += num_items * np.arange(count)[:, None]
        yield np.bincount(chosen.ravel(), minlength=count * num_items).reshape(count, num_items)


def _prepared(direction: Sampled) -> _Prepared:
    names = [f"{direction.name}/{metric}" for metric in (*direction.values, "median_rank")]
    ranks = direction.values["mean_rank"]
    order = np.argsort(ranks, kind="stable")
    return _Prepared(names, np.stack(list(direction.values.values())), order, ranks[order])


def _figures(
    directions: Sequence[_Prepared], weights: Sequence[Int64[np.ndarray, "draws _queries"]]
) -> Float64[np.ndarray, "draws figures"]:
    columns, recalls = [], []
    for direction, weight in zip(directions, weights, strict=True):
        # One product a draw, as if each were drawn alone: how many are in a block changes no bit.
        sums = (direction.values @ weight.astype(np.float64)[:, :, None])[:, :, 0]
        means = sums / weight.sum(axis=1, keepdims=True)
        columns += [means, _medians_of_sorted(direction.ranks, weight.take(direction.order, axis=1))[:, None]]
        recalls.append(means[:, ["/recall_at_" in name for name in direction.names[:-1]]])
    every = np.concatenate(recalls, axis=1)
    return np.column_stack([*columns, every.sum(axis=1), every.mean(axis=1)])


def weighted_median(values: Float[np.ndarray, " n"], times: Int64[np.ndarray, " n"]) -> float:
    """Median of values of which each occurs so many times."""
    order = np.argsort(values, kind="stable")
    return float(_medians_of_sorted(values[order], times[None, order])[0])


def _medians_of_sorted(
    values: Float[np.ndarray, " n"], times: Int64[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    reached = np.cumsum(times, axis=1)
    low, high = ([row.searchsorted(row[-1] / 2, side) for row in reached] for side in ("left", "right"))
    return (values[low] + values[high]) / 2
