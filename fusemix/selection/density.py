"""Density-based pruning: from each cluster as many as its complexity asks for, the least typical first.

Place in the flow: Clusters -> a quota a cluster -> rows.

Abbas, Rusak, Tirumala, Brendel, Chaudhuri, Morcos, "Effective pruning of web-scale datasets based on complexity of
concept clusters", ICLR 2024, arXiv:2401.04578.
"""

import numpy as np
from jaxtyping import Float, Int64

from fusemix.selection.clusters import Clusters

NEIGHBOURS = 20
"""Clusters that a cluster's distance to others is the mean over, as in the paper."""
TEMPERATURE = 0.1
"""Of the softmax over complexities."""
ROUNDS = 200


def complexities(clusters: Clusters) -> Float[np.ndarray, " clusters"]:
    """Of each cluster, how far its members lie from its centroid times how far it lies from other clusters.

    Distances are 1 - cosine: the mean over the members, and the mean over the 20 nearest centroids. A cluster without
    members has 0.
    """
    num = len(clusters.centroids)
    counts = np.bincount(clusters.of_row, minlength=num)
    within = np.bincount(clusters.of_row, weights=1.0 - clusters.cosines, minlength=num) / np.maximum(counts, 1)
    if num == 1:
        return np.maximum(within, 0.0)
    apart = 1.0 - clusters.centroids @ clusters.centroids.T
    np.fill_diagonal(apart, np.inf)
    near = np.sort(apart, axis=1)[:, : min(NEIGHBOURS, num - 1)].mean(axis=1)
    return np.maximum(within * near, 0.0)


def quotas(
    complexity: Float[np.ndarray, " clusters"], counts: Int64[np.ndarray, " clusters"], size: int
) -> Int64[np.ndarray, " clusters"]:
    """How many to take of each cluster.

    Wanted is a share softmax(complexity / 0.1) of `size`, and no cluster can give more than it has. The quotas are the
    nearest ones to what is wanted, by sum of squares, that sum up to `size`: a projection, clip(wanted + m, 0, count)
    for one number m, which is found by halving. At least one is taken of a cluster that has any, where `size` allows.

    Args:
        complexity: of each cluster, at least 0.
        counts: its members.
        size: from 1 to the sum of `counts`.
    """
    scaled = complexity / TEMPERATURE
    weights = np.where(counts > 0, np.exp(scaled - scaled[counts > 0].max()), 0.0)
    wanted = size * weights / weights.sum()
    least = (counts > 0).astype(np.float64) if size >= (counts > 0).sum() else np.zeros(len(counts))
    low, high = -float(size), float(size + counts.max())
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        total = np.clip(wanted + middle, least, counts).sum()
        low, high = (middle, high) if total < size else (low, middle)
    return _rounded(np.clip(wanted + high, least, counts), counts, size)


def _rounded(shares: np.ndarray, counts: np.ndarray, size: int) -> Int64[np.ndarray, " clusters"]:
    """Whole numbers with that sum: the largest remainders are rounded up."""
    whole = np.minimum(np.floor(shares + 1e-9).astype(np.int64), counts)
    left = size - int(whole.sum())
    order = np.argsort(whole - shares, kind="stable")
    for place in order[whole[order] < counts[order]][:left]:
        whole[place] += 1
    return whole


def least_typical(clusters: Clusters, size: int) -> Int64[np.ndarray, " size"]:
    """Of each cluster its quota of members, those that are farthest from the centroid first.

    Args:
        clusters: of all candidates.
        size: how many in all, from 1 to their number.
    """
    counts = np.bincount(clusters.of_row, minlength=len(clusters.centroids))
    quota = quotas(complexities(clusters), counts, size)
    order = np.lexsort((np.arange(len(clusters.of_row)), clusters.cosines, clusters.of_row))
    starts = np.cumsum(counts) - counts
    place = np.arange(len(order)) - starts[clusters.of_row[order]]
    return order[place < quota[clusters.of_row[order]]]
