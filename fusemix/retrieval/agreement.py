"""How well each picture agrees with what it was drawn from, in a space that both share.

Place in the flow: embeddings of generated pictures and of their queries -> Agreement.

Pictures of one query are not independent, so intervals are of the bootstrap over queries, each of which brings all its
pictures. The other queries stay as they are.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from fusemix.retrieval.intervals import DRAWS, LEVEL, drawn_times
from fusemix.retrieval.ranks import TIE_TOLERANCE

SCORES_AT_ONCE = 1 << 22
"""Cosines held in memory at a time (34 MB)."""


class Agreement(NamedTuple):
    """What was measured over the pictures of some queries.

    Attributes:
        figures: `cosine`, the mean cosine with the own query; and where there are other queries `own_nearest`, the
            share of pictures whose own query is the nearest of all, ties lost, and `above_others`, by how much the
            mean cosine exceeds that with the other queries.
        intervals: of each, 95 %.
        chance: what the same figures are over all ways of giving pictures another query; of `own_nearest` what a random
            order gives.
        counts: `pictures` and `queries`.
        cosines: of each picture with its own query.
    """

    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    chance: dict[str, float]
    counts: dict[str, int]
    cosines: Float64[np.ndarray, " pictures"]


class _Scores(NamedTuple):
    """Of each picture: cosine with its own query, mean cosine with the others, whether none of these is as near."""

    own: Float64[np.ndarray, " pictures"]
    others: Float64[np.ndarray, " pictures"]
    is_nearest: Bool[np.ndarray, " pictures"]


def agreement(
    pictures: Float[np.ndarray, "pictures dim"],
    queries: Float[np.ndarray, "queries dim"],
    query_of_picture: Int64[np.ndarray, " pictures"],
    *,
    seed: int = 0,
) -> Agreement:
    """Sum up how pictures agree with their queries.

    Args:
        pictures, queries: unit length; each query differs from all others, and has a picture at least.
        query_of_picture: in [0, queries).
        seed: of the bootstrap.
    """
    found = _scores(pictures.astype(np.float64), queries.astype(np.float64), query_of_picture)
    values = {"cosine": found.own}
    chance: dict[str, float] = {}
    if len(queries) > 1:
        values |= {"above_others": found.own - found.others, "own_nearest": found.is_nearest.astype(np.float64)}
        chance = {"cosine": float(found.others.mean()), "above_others": 0.0, "own_nearest": 1 / len(queries)}
    counts = {"pictures": len(pictures), "queries": len(queries)}
    figures = {name: float(each.mean()) for name, each in values.items()}
    intervals = _intervals(values, query_of_picture, len(queries), seed)
    return Agreement(figures, intervals, chance, counts, found.own)


def _scores(
    pictures: Float64[np.ndarray, "pictures dim"],
    queries: Float64[np.ndarray, "queries dim"],
    query_of_picture: Int64[np.ndarray, " pictures"],
) -> _Scores:
    parts, step = [], max(1, SCORES_AT_ONCE // len(queries))
    for at in range(0, len(pictures), step):
        scores = pictures[at : at + step] @ queries.T
        places = np.arange(len(scores)), query_of_picture[at : at + step]
        own = scores[places]
        others = (scores.sum(axis=1) - own) / max(len(queries) - 1, 1)
        scores[places] = -np.inf
        parts.append((own, others, scores.max(axis=1) < own - TIE_TOLERANCE))
    return _Scores(*map(np.concatenate, zip(*parts, strict=True)))


def _intervals(
    values: dict[str, Float64[np.ndarray, " pictures"]],
    query_of_picture: Int64[np.ndarray, " pictures"],
    num_queries: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Percentiles of means over drawn queries; none where there is one query alone."""
    if num_queries < 2:
        return {}
    sums = np.stack([np.bincount(query_of_picture, each, num_queries) for each in values.values()], axis=1)
    counts = np.bincount(query_of_picture, minlength=num_queries)
    blocks = [
        (times @ sums) / (times @ counts)[:, None]
        for times in drawn_times(num_queries, DRAWS, np.random.default_rng(seed))
    ]
    bounds = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    low, high = np.percentile(np.concatenate(blocks), bounds, axis=0).tolist()
    return dict(zip(values, zip(low, high, strict=True), strict=True))
