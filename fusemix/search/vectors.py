"""The vectors of one segment of an index: which kind of FAISS index, how it is built, and how it is asked.

Place in the flow: unit vectors -> files -> positions and cosines, best first.

Up to FLAT_BELOW items every vector is compared, in the precision that was chosen. Above, FAISS's inverted file with
binary codes (RaBitQ: Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound", SIGMOD
2024) finds candidates, and their vectors, which stand in a plain .npy file, decide: in float16, or in int8 behind a
first row with the exponents of its ranges. All files are mapped into memory. Codes stay there once they were looked at,
since most queries need them; pages of vectors are let go after each search.
"""

import mmap
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from fusemix.disk.files import write_atomic, write_npy
from fusemix.search.description import MOST_LEVEL, damaged, telling_damage
from fusemix.search.precision import STEPS, Precision, bytes_of, exponents_of, ranges_of, vectors_of

FLAT_BELOW = 100_000
FLAT: dict[Precision, str] = {"float32": "Flat", "float16": "SQfp16", "int8": "SQ8"}
"""Precision -> FAISS's description of an index that compares every vector."""
BITS_PER_LIST = 9
"""An inverted file has about 2^9 items in a list, so that lists and their centres cost alike."""
TRAINED_ON = 64
"""Vectors a list is trained on; FAISS warns below 39, and more hardly help."""
ITERATIONS = 10
CANDIDATES = (200, 800, 3200)
CANDIDATES_PER_RESULT = 4
"""Vectors are compared for each item that is asked for, where that is more than the candidates that were chosen."""
PROBES = (4, 8, 16, 32, 64, 128)
ENOUGH_FOUND = 0.98
"""Share of the exact first ten that lists and candidates are chosen for."""
FIRST = 10
METRIC = 0
"""FAISS's number of the inner product."""
MOST_ADDED = 1.0 + MOST_LEVEL
"""What may be added to a score, a constant and a level; see `Description.hub_queries`. More is damage."""
MOST_COSINE = 1.01
"""What rounding to half precision may give; more, beyond what int8 adds to it, is damage."""


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


def kind_for(num_items: int, precision: Precision = "float32") -> str:
    """FAISS's description of the index that suits a number of vectors."""
    if num_items < FLAT_BELOW:
        return FLAT[precision]
    num_lists = 1 << max(1, (num_items >> BITS_PER_LIST).bit_length())
    return f"IVF{num_lists},RaBitQ"


def build(
    path: Path,
    vectors: Float32[np.ndarray, "items dim"],
    sample: Float32[np.ndarray, "queries dim"],
    precision: Precision = "float32",
) -> Built:
    """Build the index of a segment and write it; above FLAT_BELOW items with a file of vectors beside it (.npy).

    Args:
        path: of the index.
        vectors: unit length.
        sample: queries that the numbers of lists and of candidates are chosen by.
        precision: of what is written; beside a file, float32 is float16.
    """
    import faiss

    kind, is_flat = kind_for(len(vectors), precision), len(vectors) < FLAT_BELOW
    index: Any = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    if not is_flat:
        index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = TRAINED_ON, 1
        index.cp.niter = ITERATIONS
        index.train(vectors)
        write_npy(path.with_suffix(".npy"), _rows_of(vectors, precision))
    elif precision == "int8":
        ranges = ranges_of(exponents_of(vectors))
        index.train(np.stack([-ranges, ranges]))  # which SQ8 takes for the ends of its ranges
    index.add(vectors)
    chosen = (0, 0, 1.0) if is_flat else _chosen(index, vectors, sample)
    with write_atomic(path) as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # pyright: ignore[reportAttributeAccessIssue]
    return Built(kind, *chosen)


def _rows_of(vectors: Float32[np.ndarray, "items dim"], precision: Precision) -> np.ndarray:
    """What a file of vectors holds."""
    if precision != "int8":
        return vectors.astype(np.float16)
    exponents = exponents_of(vectors)
    return np.concatenate([exponents.view(np.uint8)[None], bytes_of(vectors, ranges_of(exponents))])


def _chosen(index: Any, vectors: np.ndarray, sample: np.ndarray) -> tuple[int, int, float]:
    """The fewest candidates, and of these the fewest lists, that find enough of the exact first ten; else the most."""
    import faiss

    _, exact = faiss.knn(sample, vectors, FIRST, metric=faiss.METRIC_INNER_PRODUCT)
    best = (0, 0, -1.0)
    for candidates, probes in product(CANDIDATES, PROBES):
        positions = index.search(sample, candidates, params=_lists(probes))[1]
        found = float((exact[:, :, None] == positions[:, None, :]).any(axis=2).mean())
        best = max(best, (probes, candidates, found), key=lambda chosen: chosen[2])
        if found >= ENOUGH_FOUND:
            break
    return best


def _lists(probes: int, selector: Any = None) -> Any:
    import faiss

    return faiss.IVFSearchParameters(nprobe=probes, sel=selector)  # pyright: ignore[reportCallIssue]


def _selector(wanted: Int64[np.ndarray, " some"], num_items: int) -> Any:
    """What lets FAISS look at some items alone."""
    import faiss

    is_wanted = np.zeros(num_items, dtype=bool)
    is_wanted[wanted] = True
    return faiss.IDSelectorBitmap(np.packbits(is_wanted, bitorder="little"))  # pyright: ignore[reportCallIssue]


def bulk_of_vectors(path: Path) -> tuple[int, int]:
    """Where the numbers stand in a file that `build` wrote: vectors, or codes with their positions."""
    size = path.stat().st_size
    if path.suffix == ".npy":
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        return size - rows.nbytes, size
    index = _opened(path)
    return size - index.ntotal * (index.code_size + (0 if _lists_of(index) is None else 8)), size


def _opened(path: Path) -> Any:
    import faiss

    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def _lists_of(index: Any) -> list[int] | None:
    """How many items are in each list of an inverted file; None where every vector is compared."""
    if not hasattr(index, "nlist"):
        return None
    return [index.invlists.list_size(number) for number in range(index.nlist)]


class Vectors:
    """The vectors of one segment, mapped into memory. Several threads may ask at once.

    Args:
        path: of the file that `build` wrote.
        num_items: that it must hold.
        probes, candidates: see `Built`.
        added: how many numbers of a vector are added to scores; see `Description.hub_queries`.

    Raises:
        IndexFolderError: a file is missing or damaged.
    """

    def __init__(self, path: Path, num_items: int, probes: int, candidates: int, added: int = 0) -> None:
        self._path = path
        with telling_damage(self._path):
            self._index: Any = _opened(path)
            self._rows = _Rows(path.with_suffix(".npy")) if probes else None
            is_sound = self._is_sound(num_items, probes)
        if not is_sound:
            raise damaged(path, f"does not hold the {num_items:,} vectors that are expected")
        self._probes, self._candidates = probes, candidates
        self.dim: int = self._index.d
        ranges = _ranges_of(self._index) if self._rows is None else self._rows.ranges
        exact = (MOST_COSINE**2 + added * MOST_ADDED**2) ** 0.5
        self._longest = exact + (0.0 if ranges is None else float(np.linalg.norm(ranges)) / STEPS)

    def _is_sound(self, num_items: int, probes: int) -> bool:
        """Whether all parts agree on how many vectors there are and how wide they are."""
        index, lists = self._index, _lists_of(self._index)
        if index.ntotal != num_items or index.metric_type != METRIC or (lists is None) != (probes == 0):
            return False
        if self._rows is None or lists is None:
            return True
        shape = (num_items, index.d)
        return sum(lists) == num_items and index.quantizer.ntotal == len(lists) and self._rows.shape == shape

    def __len__(self) -> int:
        return self._index.ntotal

    def take(self, start: int, count: int) -> Float32[np.ndarray, "count dim"]:
        """Some consecutive vectors."""
        if self._rows is None:
            with telling_damage(self._path):
                return self._index.reconstruct_n(start, count)
        return self._rows.take(slice(start, start + count))

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int, wanted: Int64[np.ndarray, " some"] | None = None
    ) -> tuple[Float32[np.ndarray, "queries found"], Int64[np.ndarray, "queries found"]]:
        """Inner products and positions of the best items, in no order; position -1 where fewer were found.

        Args:
            queries: unit length, perhaps with weights of what is added to scores.
            k: at least 1; at least so many are given, where there are so many.
            wanted: places of items that may be found, at least one; None: all.
        """
        with telling_damage(self._path):
            found = self._search(queries, k, wanted)
        self._require_cosines(queries, *found)
        return found

    def _search(
        self, queries: np.ndarray, k: int, wanted: Int64[np.ndarray, " some"] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        selector = None if wanted is None else _selector(wanted, len(self))
        if self._rows is None:
            only = None if selector is None else faiss.SearchParameters(sel=selector)  # pyright: ignore
            return self._index.search(queries, min(k, len(self)), params=only)
        candidates = min(max(self._candidates, CANDIDATES_PER_RESULT * k), len(self))
        rarer = 1 if wanted is None else -(-len(self) // len(wanted))
        probes = min(self._probes * rarer, self._index.nlist)  # as many of the wanted as of all otherwise
        scores, positions = self._index.search(queries, candidates, params=_lists(probes, selector))
        for query, row, out in zip(queries, positions, scores, strict=True):
            there = np.flatnonzero(row >= 0)
            order = there[np.argsort(row[there])]  # along the file
            out[order] = self._rows.take(row[order]) @ query
        self._rows.let_go()
        return scores, positions

    def _require_cosines(self, queries: np.ndarray, scores: np.ndarray, positions: np.ndarray) -> None:
        longest = self._longest * np.linalg.norm(queries, axis=1, keepdims=True)
        if not ((np.abs(scores) <= longest) & (positions < len(self)) | (positions < 0)).all():  # NaN is none, too
            raise damaged(self._path, "is damaged: a cosine is beyond 1, or a position beyond the last")


def _ranges_of(index: Any) -> Float32[np.ndarray, " dim"] | None:
    """Of an index whose numbers are bytes; None of another."""
    import faiss

    trained = faiss.vector_to_array(index.sq.trained) if hasattr(index, "sq") else np.empty(0)  # lows, and their widths
    return trained[index.d :] / 2 if len(trained) else None


class _Rows:
    """A file of vectors, mapped into memory, of which single rows are read.

    Args:
        path: of the file; see `_rows_of`.

    Attributes:
        shape: of the vectors.
        ranges: of numbers that are bytes; None of others.

    Raises:
        ValueError: it holds something else.
    """

    def __init__(self, path: Path) -> None:
        rows: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        if rows.ndim != 2 or rows.dtype not in ("<f2", "u1"):
            raise ValueError(f"{path} holds no vectors")
        _advise(rows, "MADV_RANDOM")  # the system would read 128 kB ahead of each row
        is_bytes = rows.dtype == np.uint8
        self.ranges = ranges_of(np.array(rows[0]).view(np.int8)) if is_bytes else None
        self._rows = rows[1:] if is_bytes else rows
        self.shape: tuple[int, ...] = self._rows.shape

    def take(self, rows: slice | Int64[np.ndarray, " some"]) -> Float32[np.ndarray, "some dim"]:
        """Some vectors."""
        found = np.asarray(self._rows[rows])
        return found.astype(np.float32) if self.ranges is None else vectors_of(found, self.ranges)

    def let_go(self) -> None:
        """Give pages back that were looked at; the system may keep them, but not on this process's account."""
        _advise(self._rows, "MADV_DONTNEED")


def _advise(rows: np.memmap, advice: str) -> None:
    mapped: Any = rows._mmap  # pyright: ignore[reportAttributeAccessIssue]
    if hasattr(mmap, advice):  # not on Windows
        mapped.madvise(getattr(mmap, advice))
