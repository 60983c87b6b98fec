"""Search by FAISS: which gallery items stand at the top for each query.

Place in the flow: embeddings -> positions and scores, best first.
FAISS is imported when a search is made. Indexes that are kept are in fusemix/search/.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from fusemix.errors import ConfigError
from fusemix.retrieval.listing import Top

GPU_K_LIMIT = 2048
QUERIES_AT_ONCE = 1 << 16
ENDLESS = re.compile(r"[A-Za-z_]+0(?!\d)|x0(?!\d)|HNSW1(?!\d)")
"""Numbers in the name of an index with which FAISS ends the process, or never ends."""
ONE_SEARCH = """
import faiss, numpy
assert faiss.get_num_gpus() > 0, "faiss sees no GPU"
index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, faiss.IndexFlatIP(4))
index.add(numpy.eye(4, dtype="float32"))
assert index.search(numpy.eye(4, dtype="float32"), 1)[1].ravel().tolist() == [0, 1, 2, 3], "a search went wrong"
"""


def search_exactly(
    queries: Float32[np.ndarray, "queries dim"],
    gallery: Float32[np.ndarray, "items width"],
    k: int,
    *,
    use_gpu: bool,
    rows: Int64[np.ndarray, " asked"] | None = None,
) -> Top:
    """Search every gallery item, by inner product (of unit vectors: by cosine). The gallery is not copied.

    Args:
        queries, gallery: unit length.
        k: from 1 to the size of the gallery, and on a GPU at most GPU_K_LIMIT.
        use_gpu: search on the first GPU, where FAISS works there; else on the CPU.
        rows: of the queries that are asked; all by default.

    Raises:
        ValueError: widths differ, k is out of range, or something holds NaN, which FAISS passes over in silence.
    """
    import faiss

    on_gpu = use_gpu and k <= GPU_K_LIMIT and gpu_problem() is None
    _check(queries, gallery, k)
    gallery, rows = np.ascontiguousarray(gallery), np.arange(len(queries)) if rows is None else rows
    search: Callable[..., Any] = faiss.knn
    if on_gpu:
        search = partial(faiss.knn_gpu, faiss.StandardGpuResources())  # pyright: ignore
    top = Top(np.empty((len(rows), k), dtype=np.float32), np.empty((len(rows), k), dtype=np.int64))
    for at in range(0, len(rows), QUERIES_AT_ONCE):
        some = queries[rows[at : at + QUERIES_AT_ONCE]]
        found = search(some, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)
        for kept, here in zip(top, _in_order(*found), strict=True):
            kept[at : at + QUERIES_AT_ONCE] = here
    return top


def _check(queries: np.ndarray, gallery: np.ndarray, k: int) -> None:
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"queries are {queries.shape[1]} wide, the gallery {gallery.shape[1]}")
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k is {k}, but must be from 1 to {len(gallery)}")
    if not (np.isfinite(queries.sum()) and np.isfinite(gallery.sum())):
        raise ValueError("queries or gallery hold NaN or infinity")


def _in_order(scores: Float32[np.ndarray, "queries k"], positions: Int64[np.ndarray, "queries k"]) -> Top:
    order = np.lexsort((positions, -scores), axis=1)
    return Top(np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1))


class Approximate(NamedTuple):
    """What an index found, and what it cost.

    Attributes:
        top: the best items that it found; position -1 where it found fewer than k.
        build_sec: seconds to train and fill it.
        search_ms_per_query: milliseconds, all queries searched in one call.
        num_bytes: of the index, as it would be written to disk.
    """

    top: Top
    build_sec: float
    search_ms_per_query: float
    num_bytes: int


def search_approximately(
    queries: Float32[np.ndarray, "queries dim"],
    gallery: Float32[np.ndarray, "items width"],
    k: int,
    factory: str,
    parameters: str = "",
) -> Approximate:
    """Build an index that does not look at every item, and search it, on the CPU.

    Args:
        queries, gallery: unit length.
        k: from 1 to the size of the gallery.
        factory: FAISS's own description of an index, such as `IVF256,Flat`, `HNSW32` or `OPQ16,IVF256,PQ16`.
        parameters: of the search, such as `nprobe=16` or `efSearch=64`; empty leaves FAISS's defaults.

    Raises:
        ConfigError: FAISS knows no such index or parameter, or the gallery is too small to train it.
        ValueError: as for `search_exactly`.
    """
    import faiss

    _check(queries, gallery, k)
    if no_number := ENDLESS.search(factory):
        raise ConfigError(f"indexes: {factory!r}: FAISS would break off at {no_number[0]!r}. Give larger numbers.")
    started = time.perf_counter()
    try:
        index = _quiet(faiss.index_factory(gallery.shape[1], factory, faiss.METRIC_INNER_PRODUCT))
        index.train(np.ascontiguousarray(gallery))  # pyright: ignore
        index.add(np.ascontiguousarray(gallery))  # pyright: ignore
        if parameters:
            faiss.ParameterSpace().set_index_parameters(index, parameters)
        built = time.perf_counter()
        found = index.search(np.ascontiguousarray(queries), k)  # pyright: ignore
    except RuntimeError as error:
        raise ConfigError(
            f"indexes: FAISS cannot make {factory!r}{f' with {parameters!r}' if parameters else ''} over "
            f"{len(gallery):,} items of width {gallery.shape[1]}: {_reason(error)} See its guide to index factories."
        ) from error
    searched = time.perf_counter()
    return Approximate(
        _in_order(*found), built - started, 1000 * (searched - built) / len(queries), _size_on_disk(index)
    )


def _quiet(index: Any) -> Any:
    """Without a warning for each of its parts that a gallery is small; what that costs is measured."""
    parts: list[Any] = [index, getattr(index, "pq", None)]
    for part in parts:
        if hasattr(part, "cp"):
            part.cp.min_points_per_centroid = 1
    return index


def _reason(error: RuntimeError) -> str:
    """The last part of FAISS's message; before it stand the place in its source and the failed condition."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return f"{lines[-1].rpartition(': ')[2].rstrip('.')}."


def _size_on_disk(index: Any) -> int:
    import faiss

    sizes: list[int] = []
    writer: Any = faiss.PyCallbackIOWriter  # pyright: ignore
    faiss.write_index(index, writer(lambda part: sizes.append(len(part)) or len(part)))
    return sum(sizes)


@cache
def gpu_problem() -> str | None:
    """Why FAISS cannot search on a GPU here, or None where it can.

    One search in a process of its own: with a build that does not fit the GPU, FAISS aborts the process.
    """
    try:
        tried = subprocess.run([sys.executable, "-c", ONE_SEARCH], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode == 0:
        return None
    lines = [line.strip() for line in tried.stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else f"the process ended with code {tried.returncode}"
    return last.removeprefix("AssertionError: ")


def share_found(found: Int64[np.ndarray, "queries k"], exact: Int64[np.ndarray, "queries k"]) -> float:
    """Share, in [0, 1], of the items found by exact search among the first k that another search finds there, too."""
    same = (exact[:, :, None] == found[:, None, :]).any(axis=2)
    return float(same.mean())
