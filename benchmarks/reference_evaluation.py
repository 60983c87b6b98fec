"""Retrieval measured the plain way: the whole matrix, and a sorted row for every query, in a loop.

A linked item that ties with unlinked ones goes after them, as the figures of fusemix define it.
"""

import numpy as np
import torch

DEPTH = 10
TIE_TOLERANCE = 1e-6


def figures(left: torch.Tensor, right: torch.Tensor, links: np.ndarray) -> dict[str, float]:
    scores = (left @ right.T).numpy()
    found = {}
    for name, table, pairs in (("left_to_right", scores, links), ("right_to_left", scores.T, links[:, ::-1])):
        found |= {f"{name}/{metric}": value for metric, value in of_direction(table, pairs).items()}
    return found


def of_direction(scores: np.ndarray, pairs: np.ndarray) -> dict[str, float]:
    linked: dict[int, list[int]] = {}
    for query, item in pairs.tolist():
        linked.setdefault(query, []).append(item)
    rows = [of_query(scores[query], items) for query, items in sorted(linked.items())]
    first = np.array([row[0] for row in rows])
    return {
        **{f"recall_at_{k}": float(np.mean(first <= k)) for k in (1, 5, 10)},
        "mrr": float(np.mean(1 / first)),
        "map_at_10": float(np.mean([row[1] for row in rows])),
        "ndcg_at_10": float(np.mean([row[2] for row in rows])),
        "median_rank": float(np.median(first)),
        "mean_rank": float(np.mean(first)),
    }


def of_query(scores: np.ndarray, items: list[int]) -> tuple[int, float, float]:
    lowered = scores.copy()
    lowered[items] -= TIE_TOLERANCE
    order = np.argsort(-lowered, kind="stable")
    places = np.flatnonzero(np.isin(order, items)) + 1
    top = places[places <= DEPTH]
    most = min(len(items), DEPTH)
    precision = sum((number + 1) / place for number, place in enumerate(top)) / most
    gain = sum(1 / np.log2(1 + place) for place in top)
    ideal = sum(1 / np.log2(1 + place) for place in range(1, most + 1))
    return int(places[0]), float(precision), float(gain / ideal)
