"""Facility location: candidates that stand for all others, each for those that are like it.

Place in the flow: unit vectors -> a graph of nearest neighbours -> rows in order of choice.

A subset's worth is the sum, over all candidates, of the largest cosine with a chosen one (Mirchandani and Francis 1990;
Lin and Bilmes 2011), where only a candidate's nearest neighbours, and itself, may stand for it. It is submodular, so
greedy choice is within 1 - 1/e of the best (Nemhauser, Wolsey, Fisher 1978), and gains only fall (Minoux 1978).
"""

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

EXACT_UP_TO = 50_000
"""Candidates whose neighbours are found exactly; of more, in the nearest cells of an inverted file."""
CELLS_LOOKED_AT = 16
ROWS_AT_ONCE = 16_384
Advance = Callable[[int], None]


class Graph(NamedTuple):
    """Whom each candidate may stand for, as a sparse matrix in rows.

    Attributes:
        starts: of each candidate's stretch in the other two, and the end.
        places: candidates that it may stand for.
        cosines: with these, above 0.
    """

    starts: Int64[np.ndarray, " bounds"]
    places: Int64[np.ndarray, " edges"]
    cosines: Float32[np.ndarray, " edges"]


def neighbour_graph(
    unit: Float32[np.ndarray, "n dim"], neighbours: int, advance: Advance = lambda count: None
) -> Graph:
    """Each candidate with those that have it among their nearest neighbours, and with itself.

    Args:
        unit: candidates, of unit length.
        neighbours: of each candidate, beside itself; fewer where there are not so many.
        advance: told of candidates whose neighbours were found.
    """
    num = len(unit)
    k = min(neighbours + 1, num)
    near, cosines = np.empty((num, k), dtype=np.int64), np.empty((num, k), dtype=np.float32)
    index = _index(unit)
    for at in range(0, num, ROWS_AT_ONCE):
        cosines[at : at + ROWS_AT_ONCE], near[at : at + ROWS_AT_ONCE] = index.search(unit[at : at + ROWS_AT_ONCE], k)
        advance(min(ROWS_AT_ONCE, num - at))
    served = np.repeat(np.arange(num), k)
    is_edge = (near.ravel() >= 0) & (near.ravel() != served) & (cosines.ravel() > 0)
    by = np.r_[near.ravel()[is_edge], np.arange(num)]
    of = np.r_[served[is_edge], np.arange(num)]
    values = np.r_[cosines.ravel()[is_edge], np.ones(num, dtype=np.float32)]
    order = np.lexsort((of, by))
    return Graph(np.searchsorted(by[order], np.arange(num + 1)), of[order], np.minimum(values[order], np.float32(1.0)))


def _index(unit: np.ndarray) -> Any:
    import faiss

    unit = np.ascontiguousarray(unit)
    if len(unit) <= EXACT_UP_TO:
        index = faiss.IndexFlatIP(unit.shape[1])
    else:
        cells = int(4 * len(unit) ** 0.5)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(unit.shape[1]), unit.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.max_points_per_centroid = 64
        index.nprobe = CELLS_LOOKED_AT
        index.train(unit)
    index.add(unit)
    return index


class Chosen(NamedTuple):
    """What was chosen.

    Attributes:
        rows: of the candidates, in order of choice.
        gains: of each when it was chosen; their sum is the worth.
    """

    rows: Int64[np.ndarray, " picks"]
    gains: Float[np.ndarray, " picks"]


def representatives(graph: Graph, size: int, advance: Advance = lambda count: None) -> Chosen:
    """Choose candidates greedily, by lazy gains; of equal ones the first.

    Args:
        graph: of the candidates.
        size: how many; from 1 to their number.
        advance: told of picks.
    """
    served = np.zeros(len(graph.starts) - 1)
    first = np.add.reduceat(graph.cosines.astype(np.float64), graph.starts[:-1])
    queue = [(-gain, row) for row, gain in enumerate(first.tolist())]
    heapq.heapify(queue)
    rows, gains = np.empty(size, dtype=np.int64), np.empty(size)
    for pick in range(size):
        while True:
            bound, row = queue[0]
            stretch = slice(graph.starts[row], graph.starts[row + 1])
            gain = float(np.maximum(graph.cosines[stretch] - served[graph.places[stretch]], 0.0).sum())
            if gain >= -bound - 1e-12:
                break
            heapq.heapreplace(queue, (-gain, row))
        heapq.heappop(queue)
        places = graph.places[stretch]
        served[places] = np.maximum(served[places], graph.cosines[stretch])
        rows[pick], gains[pick] = row, gain
        advance(1)
    return Chosen(rows, gains)
