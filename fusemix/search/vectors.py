"""The vectors of one segment of an index, in a FAISS file: which kind, how it is built, and how it is asked.

Place in the flow: unit vectors -> a file -> positions and scores, best first.

Up to FLAT_BELOW items every vector is compared, in float32. Above, FAISS's inverted file with binary codes (RaBitQ: Gao
and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound", SIGMOD 2024) finds candidates
with estimated scores, and their vectors in float16 decide; which candidates of all segments are worth that is up to
the caller (folder.py). Files are mapped into memory: a search reads the lists that it looks at and the vectors of its
candidates, and the system may forget them again.
"""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from fusemix.errors import IndexFolderError
from fusemix.files import write_atomic

FLAT_BELOW = 100_000
BITS_PER_LIST = 9
"""An inverted file has about 2^9 items in a list, so that lists and their centres cost alike."""
TRAINED_ON = 64
"""Vectors a list is trained on; FAISS warns below 39, and more hardly help."""
ITERATIONS = 10
CANDIDATES = (200, 800, 3200)
PROBES = (4, 8, 16, 32, 64, 128)
ENOUGH_FOUND = 0.98
"""Share of the exact first ten that lists and candidates are chosen for."""
FIRST = 10


class Built(NamedTuple):
    """What was built.

    Attributes:
        kind: FAISS's description of it, as `index_factory` takes it.
        probes: lists that a query looks at; 0 where there are none.
        candidates: vectors that are compared then; 0 where all are.
        found: share of the exact first ten found for the sample; 1 where search is exact.
    """

    kind: str
    probes: int
    candidates: int
    found: float


def kind_for(num_items: int) -> str:
    """FAISS's description of the index that suits a number of vectors."""
    if num_items < FLAT_BELOW:
        return "Flat"
    num_lists = 1 << max(1, (num_items >> BITS_PER_LIST).bit_length())
    return f"IVF{num_lists},RaBitQ,Refine(SQfp16)"


def build(path: Path, vectors: Float32[np.ndarray, "items dim"], sample: Float32[np.ndarray, "queries dim"]) -> Built:
    """Build the index of a segment and write it.

    Args:
        path: of the file.
        vectors: unit length.
        sample: queries that the numbers of lists and of candidates are chosen by.
    """
    import faiss

    kind = kind_for(len(vectors))
    index: Any = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    if kind != "Flat":
        clustering: Any = faiss.downcast_index(index.base_index).cp  # pyright: ignore[reportAttributeAccessIssue]
        clustering.max_points_per_centroid, clustering.min_points_per_centroid = TRAINED_ON, 1
        clustering.niter = ITERATIONS
        index.train(vectors)
    index.add(vectors)
    chosen = (0, 0, 1.0) if kind == "Flat" else _chosen(index, vectors, sample)
    with write_atomic(path) as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # pyright: ignore[reportAttributeAccessIssue]
    return Built(kind, *chosen)


def _chosen(index: Any, vectors: np.ndarray, sample: np.ndarray) -> tuple[int, int, float]:
    """The fewest candidates, and of these the fewest lists, that find enough of the exact first ten; else the most."""
    import faiss

    _, exact = faiss.knn(sample, vectors, FIRST, metric=faiss.METRIC_INNER_PRODUCT)
    best = (0, 0, -1.0)
    for candidates, probes in product(CANDIDATES, PROBES):
        positions = index.base_index.search(sample, candidates, params=_lists(probes))[1]
        found = float((exact[:, :, None] == positions[:, None, :]).any(axis=2).mean())
        best = max(best, (probes, candidates, found), key=lambda chosen: chosen[2])
        if found >= ENOUGH_FOUND:
            break
    return best


def _lists(probes: int) -> Any:
    import faiss

    return faiss.IVFSearchParameters(nprobe=probes)  # pyright: ignore[reportCallIssue]


class Vectors:
    """The vectors of one segment, mapped into memory. Several threads may ask at once.

    Args:
        path: of the file that `build` wrote.
        num_items: that it must hold.
        probes: see `Built`.

    Raises:
        IndexFolderError: the file is missing or damaged.
    """

    def __init__(self, path: Path, num_items: int, probes: int) -> None:
        import faiss

        try:
            self._index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise IndexFolderError(f"{path} is missing or damaged. Make the index anew with --overwrite.") from error
        if self._index.ntotal != num_items:
            raise IndexFolderError(
                f"{path} holds {self._index.ntotal:,} vectors where {num_items:,} are expected, so it is damaged. "
                "Make the index anew with --overwrite."
            )
        self._probes = probes
        self.dim: int = self._index.d

    def __len__(self) -> int:
        return self._index.ntotal

    def take(self, start: int, count: int) -> Float32[np.ndarray, "count dim"]:
        """Some consecutive vectors."""
        return self._index.reconstruct_n(start, count)

    def gather(self, positions: Int64[np.ndarray, " some"]) -> Float32[np.ndarray, "some dim"]:
        """Some vectors, in the order asked for."""
        return self._index.reconstruct_batch(positions)

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Float32[np.ndarray, "queries found"], Int64[np.ndarray, "queries found"]]:
        """Scores and positions of the best items, best first; position -1 where fewer were found.

        Scores are cosines where the segment is flat, else estimates of them.

        Args:
            queries: unit length.
            k: at least 1; no more are found than there are.
        """
        k = min(k, len(self))
        if self._probes:
            return self._index.base_index.search(queries, k, params=_lists(self._probes))
        return self._index.search(queries, k)
