"""The most diverse subset of more candidates than fit into memory: clusters first, greedy inside, then over the union.

Place in the flow: vectors, some at a time -> rows in order of choice.

Two rounds of greedy choice, as in Mirzasoleiman et al., "Distributed Submodular Maximization" (NeurIPS 2013,
arXiv:1411.0541), with clusters as parts, so that near duplicates lie in one part. The result is not that of one greedy
choice over all; benchmarks/kdpp.py shows the loss.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int64

from fusemix.selection.clusters import Vectors
from fusemix.selection.kdpp import Picked, most_diverse

SURPLUS = 3.0
"""So many times as many as are wanted in the end are chosen in the parts together."""


def most_diverse_by_parts(
    vectors: Vectors,
    part_of_row: Int64[np.ndarray, " n"],
    size: int,
    advance: Callable[[int], None] = lambda count: None,
) -> Picked:
    """Choose candidates greedily in each part, and then among those.

    Args:
        vectors: gives unit vectors of rows.
        part_of_row: of each candidate, such as its cluster, counted from 0.
        size: how many; from 1 to the number of candidates.
        advance: told of picks, of which there are about four times `size`.
    """
    order = np.argsort(part_of_row, kind="stable")
    counts = np.bincount(part_of_row)
    kept = []
    for part, quota in zip(np.split(order, np.cumsum(counts)[:-1]), _quotas(counts, size), strict=True):
        if quota:
            picked = most_diverse(torch.from_numpy(vectors(part)), quota, advance)
            kept.append(part[picked.rows])
    union = np.sort(np.concatenate(kept))
    found = most_diverse(torch.from_numpy(vectors(union)), min(size, len(union)), advance)
    return Picked(union[found.rows], found.gains)


def _quotas(counts: Int64[np.ndarray, " parts"], size: int) -> list[int]:
    """Of each part in proportion to its members."""
    share = SURPLUS * size / counts.sum()
    return np.minimum(counts, np.ceil(share * counts).astype(np.int64)).tolist()
