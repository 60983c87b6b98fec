"""Average precision of one ranking of all items, and what it is when items are drawn again.

Place in the flow: the scores of all items for one class -> zero_shot.py.
Not here: mAP of the first k of a gallery (metrics.py); this one looks at the whole ranking.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from fusemix.retrieval.ranks import TIE_TOLERANCE

WEIGHTS_AT_ONCE = 1 << 24
"""Weights summed up at a time (64 MiB)."""


class Order(NamedTuple):
    """What average precision needs of a ranking.

    Attributes:
        positives: rows of the positives, best first.
        ahead: for each of them, how many negatives score at least as high; ties count as higher.
        negatives: rows of the negatives that stand ahead of some positive, best first.
    """

    positives: Int64[np.ndarray, " positives"]
    ahead: Int64[np.ndarray, " positives"]
    negatives: Int64[np.ndarray, " negatives"]


def order_of(scores: Float32[np.ndarray, " items"], is_positive: Bool[np.ndarray, " items"]) -> Order:
    """Rank items by score, as far as the last positive.

    Args:
        scores: higher is better.
        is_positive: true for one item at least.
    """
    positives = np.flatnonzero(is_positive)
    positives = positives[np.argsort(-scores[positives], kind="stable")]
    not_worse = scores[positives] - np.float32(TIE_TOLERANCE)
    negatives = np.flatnonzero(~is_positive & (scores >= not_worse[-1]))
    negatives = negatives[np.argsort(-scores[negatives], kind="stable")]
    ahead = np.searchsorted(-scores[negatives], -not_worse, side="right")
    return Order(positives, ahead, negatives)


def average_precision(order: Order) -> float:
    """Mean over the positives of the precision at their place in the ranking, in (0, 1].

    The same as scikit-learn's `average_precision_score` where nothing ties; a positive that ties with negatives
    stands after them here.
    """
    place = np.arange(1, len(order.positives) + 1)
    return float((place / (place + order.ahead)).mean())


def resampled_average_precision(
    order: Order, weights: UInt8[np.ndarray, "items draws"]
) -> Float64[np.ndarray, " draws"]:
    """Average precision for each draw of items; NaN for a draw without any positive.

    Args:
        order: of the whole ranking.
        weights: how often each item was drawn.
    """
    found = []
    step = max(1, WEIGHTS_AT_ONCE // max(1, len(order.negatives)))
    for at in range(0, weights.shape[1], step):
        some = weights[:, at : at + step]
        nothing = np.zeros((1, some.shape[1]), dtype=np.int32)
        passed = np.concatenate([nothing, np.cumsum(some[order.negatives], axis=0, dtype=np.int32)])
        drawn = some[order.positives].astype(np.float64)
        hits = np.cumsum(drawn, axis=0)
        with np.errstate(invalid="ignore"):  # 0/0 is the NaN that is promised
            precision = np.where(drawn > 0, hits / (hits + passed[order.ahead]), 0.0)
            found.append((drawn * precision).sum(axis=0) / hits[-1])
    return np.concatenate(found)


def chance_average_precision(num_positives: int, num_items: int) -> float:
    """What a random order gives on average; it tends to the share of positives where there are many.

    A positive stands at place i with probability 1/N, and each of the i - 1 places before it holds another one of the
    n - 1 with probability (n - 1)/(N - 1); so the mean is (H_N + (n - 1)/(N - 1) (N - H_N)) / N, with the harmonic
    number H_N.

    Args:
        num_positives: n, at least 1.
        num_items: N.
    """
    harmonic = float((1 / np.arange(1, num_items + 1)).sum())
    others = (num_positives - 1) / max(1, num_items - 1)
    return (harmonic + others * (num_items - harmonic)) / num_items
