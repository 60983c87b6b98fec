"""Paired comparison of two runs on the same queries: how large the difference is, and whether luck explains it.

Place in the flow: ranks of two runs -> Difference of each figure.
Not here: whether two reports measured the same items (side_by_side.py).

Five captions of one picture are not five independent queries. So a left item with all queries that belong to it is
flipped and drawn as a whole.

Sources: randomisation test: Smucker, Allan and Carterette, "A comparison of statistical significance tests for
information retrieval evaluation", CIKM 2007, https://doi.org/10.1145/1321440.1321528. Its p-value from draws: Phipson
and Smyth, "Permutation p-values should never be zero", 2010, arXiv:1603.05766. Correction: Holm, "A simple sequentially
rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fusemix.retrieval.intervals import LEVEL, drawn_times

DRAWS = 10_000
EXACT_ITEMS = 13
"""Up to this many items with a difference, all ways to flip them are fewer than DRAWS and are counted."""
NUMBERS_AT_ONCE = 1 << 22
"""Random numbers held in memory at a time (32 MiB in float64)."""
ROUNDING = 1e-9
"""What float64 may leave of sums that are equal: of one item's, and, as a share of all absolute sums, of the whole."""


class Difference(NamedTuple):
    """A figure of the second run minus that of the first.

    Attributes:
        difference: mean over all queries, as a fraction.
        low, high: its 95 % interval, by bootstrap over left items.
        p: of the two-sided paired randomisation test.
        num_items: left items.
        num_differing: left items whose queries, together, score otherwise in the second run.
    """

    difference: float
    low: float
    high: float
    p: float
    num_items: int
    num_differing: int


def query_scores(ranks: Int64[np.ndarray, " queries"], metric: str) -> Float64[np.ndarray, " queries"]:
    """What each query adds to a figure, in [0, 1].

    Args:
        ranks: of the first linked item, from 1.
        metric: `recall_at_<k>` or `mrr`.

    Raises:
        ValueError: the figure is no mean over queries that is known here.
    """
    if metric == "mrr":
        return 1 / ranks
    name, _, k = metric.rpartition("_")
    if name != "recall_at" or not k.isdecimal():
        raise ValueError(f"{metric!r} is neither mrr nor recall_at_<k>")
    return (ranks <= int(k)).astype(np.float64)


def compare_ranks(
    first: Int64[np.ndarray, " queries"],
    second: Int64[np.ndarray, " queries"],
    items: Int64[np.ndarray, " queries"],
    metrics: Sequence[str],
    *,
    seed: int = 0,
) -> dict[str, Difference]:
    """Metric -> its difference between two runs that asked the same queries, second minus first.

    Args:
        first, second: rank of the first linked item of each query, from 1.
        items: the left item that each query belongs to, as any number.
        metrics: `recall_at_<k>` or `mrr`.
        seed: of the draws.

    Raises:
        ValueError: there is no query.
    """
    if len(items) == 0:
        raise ValueError("there is no query to compare")
    _, groups = np.unique(items, return_inverse=True)
    sizes = np.bincount(groups).astype(np.float64)
    by_query = [query_scores(second, metric) - query_scores(first, metric) for metric in metrics]
    sums = np.column_stack([np.bincount(groups, weights=column) for column in by_query])
    sums[np.abs(sums) < ROUNDING] = 0.0
    ps = sign_flip_p(sums, np.random.default_rng([seed, 0]))
    lows, highs = bootstrap_interval(sums, sizes, np.random.default_rng([seed, 1]))
    means = sums.sum(axis=0) / len(items)
    differing = (sums != 0).sum(axis=0)
    return {
        metric: Difference(
            difference=float(means[at]),
            low=float(lows[at]),
            high=float(highs[at]),
            p=float(ps[at]),
            num_items=len(sizes),
            num_differing=int(differing[at]),
        )
        for at, metric in enumerate(metrics)
    }


def sign_flip_p(
    sums: Float64[np.ndarray, "items figures"], generator: np.random.Generator
) -> Float64[np.ndarray, " figures"]:
    """Two-sided p-values of the paired randomisation test, whose unit is the left item.

    If the runs were alike, each item's difference could as well have the other sign. p is the share of ways to choose
    the signs that give a sum at least as far from zero: of all ways where at most EXACT_ITEMS items differ, else of
    DRAWS ways, the observed one counted among them, (1 + as extreme) / (1 + DRAWS).

    Args:
        sums: over each item's queries, the score in the second run minus that in the first.
        generator: source of the signs.
    """
    observed = np.abs(sums.sum(axis=0))
    enough = observed - ROUNDING * np.abs(sums).sum(axis=0)
    extreme = np.zeros(sums.shape[1], dtype=np.int64)
    for count in _blocks(len(sums)):
        kept = generator.integers(0, 2, size=(count, len(sums)), dtype=np.int8)
        flipped = 2 * (kept.astype(np.float64) @ sums) - sums.sum(axis=0)
        extreme += (np.abs(flipped) >= enough).sum(axis=0)
    drawn = (1 + extreme) / (1 + DRAWS)
    few = (sums != 0).sum(axis=0) <= EXACT_ITEMS
    return np.array([_exact_p(column) if is_few else p for column, is_few, p in zip(sums.T, few, drawn, strict=True)])


def _exact_p(sums: Float64[np.ndarray, " items"]) -> float:
    differing = sums[sums != 0]
    ways = np.arange(2 ** len(differing))[:, None] >> np.arange(len(differing)) & 1
    enough = abs(differing.sum()) - ROUNDING * np.abs(differing).sum()
    return float((np.abs((2 * ways - 1) @ differing) >= enough).mean())


def bootstrap_interval(
    sums: Float64[np.ndarray, "items figures"], sizes: Float64[np.ndarray, " items"], generator: np.random.Generator
) -> tuple[Float64[np.ndarray, " figures"], Float64[np.ndarray, " figures"]]:
    """Percentile interval of the mean difference over queries, left items drawn with replacement.

    Args:
        sums: over each item's queries, the score in the second run minus that in the first.
        sizes: queries of each item.
        generator: source of the draws.

    Returns:
        Lower and upper ends, LEVEL apart.
    """
    means = []
    for block in drawn_times(len(sums), DRAWS, generator):
        times = block.astype(np.float64)
        # One product a draw, as if each were drawn alone: how many are in a block changes no bit.
        means.append((times[:, None, :] @ sums)[:, 0] / (times @ sizes)[:, None])
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def _blocks(num_items: int) -> Iterator[int]:
    """Numbers of draws that fit into memory together, DRAWS in all."""
    step = max(1, NUMBERS_AT_ONCE // num_items)
    for at in range(0, DRAWS, step):
        yield min(step, DRAWS - at)


def holm(p: Float64[np.ndarray, " tests"]) -> Float64[np.ndarray, " tests"]:
    """Holm's step-down correction: p-values that hold for all tests of a family together, in the order given.

    The i-th smallest of n, from zero, is multiplied by n - i, made no smaller than the one before, and at most 1.
    """
    order: Int64[np.ndarray, " tests"] = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected
