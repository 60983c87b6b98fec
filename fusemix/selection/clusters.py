"""Clusters of many vectors, by FAISS: spherical k-means on a sample, then the nearest centroid of each.

Place in the flow: vectors, some at a time -> centroids, and the cluster of each row.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

SAMPLE_PER_CLUSTER = 256
"""FAISS says that more changes the centroids little."""
ROUNDS = 20
ROWS_AT_ONCE = 65_536
Vectors = Callable[[Int64[np.ndarray, " rows"]], Float32[np.ndarray, "rows dim"]]
"""Unit vectors of some candidates."""


class Clusters(NamedTuple):
    """Where candidates lie.

    Attributes:
        centroids: of unit length.
        of_row: the nearest one of each candidate, by cosine.
        cosines: of each with it.
    """

    centroids: Float32[np.ndarray, "clusters dim"]
    of_row: Int64[np.ndarray, " n"]
    cosines: Float32[np.ndarray, " n"]


def clustered(
    vectors: Vectors,
    num_rows: int,
    num_clusters: int,
    seed: int,
    advance: Callable[[int], None] = lambda count: None,
) -> Clusters:
    """Find clusters and assign all candidates.

    Args:
        vectors: gives unit vectors of rows.
        num_rows: candidates.
        num_clusters: from 1 to `num_rows`.
        seed: of the sample and of the first centroids.
        advance: told of rows that were assigned.
    """
    import faiss

    rng = np.random.default_rng(seed)
    taken = min(num_rows, SAMPLE_PER_CLUSTER * num_clusters)
    sample = vectors(np.sort(rng.choice(num_rows, taken, replace=False)))
    means = faiss.Kmeans(
        sample.shape[1],
        num_clusters,
        niter=ROUNDS,
        spherical=True,
        seed=int(rng.integers(2**31)),
        min_points_per_centroid=1,
        max_points_per_centroid=SAMPLE_PER_CLUSTER,
    )
    means.train(np.ascontiguousarray(sample))
    centroids = np.asarray(means.centroids, dtype=np.float32)
    of_row, cosines = np.empty(num_rows, dtype=np.int64), np.empty(num_rows, dtype=np.float32)
    for at in range(0, num_rows, ROWS_AT_ONCE):
        rows = np.arange(at, min(at + ROWS_AT_ONCE, num_rows))
        scores, places = faiss.knn(np.ascontiguousarray(vectors(rows)), centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)
        of_row[rows], cosines[rows] = places[:, 0], scores[:, 0]
        advance(len(rows))
    return Clusters(centroids, of_row, cosines)
