"""Vectors that another tool wrote: which row belongs to which item, and the road into a sealed store.

Place in the flow: .npy files and ids -> NpyVectors, Matched -> fill_store -> StoreWriter.
Not here: clip-retrieval's folders (embeddings_folder.py), or item tables (sets.py).

Files are memory-mapped and gathered a shard at a time, so their size does not matter. The order of the
rows does not matter either: ids join them with the items.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float32, Int64

from fusemix.disk.files import sha256_of_file, sha256_of_json
from fusemix.errors import LatentStoreError, first_line
from fusemix.interfaces import Rejected
from fusemix.latents.file_order import files_in_order
from fusemix.latents.writer import StoreWriter
from fusemix.text_files import read_text, why_no_text

OPEN_FILES = 256
ROWS_AT_ONCE = 8192
SEPARATORS = ",;\t"
"""Of a .csv; the first that gives a column `id` counts."""
AGREEMENT = 1e-2
"""Vectors of one item agree when they differ by less than this share of their length. The same model gives
slightly different numbers in another batch (about 1e-3 in half precision); another item differs far more."""


class NpyVectors:
    """Rows of one .npy file, or of a folder of them in the order of their numbers, by memory map.

    Args:
        path: the file or folder.

    Attributes:
        files: in order of rows.
        dim: width of a row.
        counts: rows of each file.

    Raises:
        LatentStoreError: there is no such file, or one does not hold (rows, dim) numbers as the others do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = files_in_order(path, ".npy") if path.is_dir() else [path]
        if not self.files or not self.files[0].is_file():
            raise LatentStoreError(f"there is no .npy file {'in' if path.is_dir() else 'at'} {path}.")
        shapes = [_open(file).shape for file in self.files]
        self.dim: int = shapes[0][1]
        for file, shape in zip(self.files, shapes, strict=True):
            if shape[1] != self.dim:
                raise LatentStoreError(
                    f"{file} holds vectors of width {shape[1]}, but {self.files[0]} of width {self.dim}. "
                    "Files of one folder must come from one encoder."
                )
        self.counts: list[int] = [shape[0] for shape in shapes]
        if not sum(self.counts):
            raise LatentStoreError(f"{path} holds no rows: {len(self.files):,} files of none. Write it again.")
        self._starts = np.cumsum([0, *self.counts])
        self._map = lru_cache(maxsize=OPEN_FILES)(lambda index: _open(self.files[index]))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n {self.dim}"]:
        """Rows in the order asked for; what float32 cannot hold becomes infinity."""
        gathered = np.empty((len(rows), self.dim), dtype=np.float32)
        file_of = np.searchsorted(self._starts, rows, side="right") - 1
        with np.errstate(over="ignore"):
            for index in np.unique(file_of).tolist():
                here = file_of == index
                gathered[here] = self._map(index)[rows[here] - self._starts[index]]
        return gathered

    def sha256(self) -> str:
        """SHA-256 of the file; for a folder, of the list of its files' hashes."""
        hashes = [sha256_of_file(file) for file in self.files]
        return sha256_of_json(hashes) if self.path.is_dir() else hashes[0]


def _open(file: Path) -> np.ndarray:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise LatentStoreError(f"{file} cannot be read as .npy: {first_line(error)}") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f":
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise LatentStoreError(f"{file} holds {found}, but latents are one float array of shape (rows, dim).")
    if array.shape[1] == 0:
        raise LatentStoreError(
            f"{file} holds rows of no columns: shape {array.shape}. Latents have at least one number."
        )
    return array


def read_ids(path: Path) -> list[str]:
    """Ids in order of rows: .txt (one a line), .json (a list), .csv or .parquet (column `id`).

    Raises:
        LatentStoreError: the file is missing, or is none of these.
    """
    if not path.is_file():
        raise LatentStoreError(f"there is no file of ids {path}.")
    try:
        ids = _READERS[path.suffix.lower()](path)
        none = next((row for row, item in enumerate(ids) if _is_none(item)), None)
        if none is not None:
            raise TypeError(f"row {none} has none")
        return [str(item) for item in ids]
    except UnicodeDecodeError as error:
        raise LatentStoreError(f"{path} cannot be read in UTF-8: {why_no_text(path)}") from error
    except (KeyError, TypeError, ValueError, csv.Error, pa.ArrowException) as error:
        raise LatentStoreError(
            f"{path} holds no list of ids ({type(error).__name__}: {first_line(error)}). Give a .txt with one "
            "id a line, a .json list, or a .csv or .parquet with a column 'id'."
        ) from error


def _is_none(item: Any) -> bool:
    return item is None or item != item or (isinstance(item, str) and not item.strip())


def _ids_from_txt(path: Path) -> list[Any]:
    # Not splitlines(): an id may hold U+2028, which ends no line.
    lines = [line.strip() for line in read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _ids_from_json(path: Path) -> list[Any]:
    ids = json.loads(read_text(path))
    if not isinstance(ids, list) or any(isinstance(item, bool) for item in ids):
        raise TypeError("it is not a list of strings")
    if not all(isinstance(item, str | int | None) or item != item for item in ids):
        raise TypeError("it is not a list of strings")
    return ids


def _ids_from_csv(path: Path) -> list[Any]:
    text = read_text(path)
    for separator in SEPARATORS:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        if (rows.fieldnames or []).count("id") > 1:
            raise TypeError("two columns are called 'id'")
        if "id" in (rows.fieldnames or []):
            return [row["id"] for row in rows]
    raise KeyError("id")


def _ids_from_parquet(path: Path) -> list[Any]:
    return pq.read_table(path, columns=["id"])["id"].to_pylist()


_READERS = {".txt": _ids_from_txt, ".json": _ids_from_json, ".csv": _ids_from_csv, ".parquet": _ids_from_parquet}


class Matched(NamedTuple):
    """Which row holds the vector of which item.

    Attributes:
        rows: for each item the first row with its id, or -1.
        repeats: (first row, later row) of items that occur again.
        unknown: ids of rows that belong to no item, each once.
    """

    rows: Int64[np.ndarray, " items"]
    repeats: Int64[np.ndarray, "repeats 2"]
    unknown: list[str]


def match_ids(item_ids: Sequence[str], row_ids: Sequence[str | None]) -> Matched:
    """Join rows with items by id, in any order; a row without id belongs to no item."""
    item_of = {item: place for place, item in enumerate(item_ids)}
    rows = np.full(len(item_ids), -1, dtype=np.int64)
    repeats: list[tuple[int, int]] = []
    unknown: dict[str, None] = {}
    for row, item in enumerate(row_ids):
        if item is None:
            continue
        place = item_of.get(item)
        if place is None:
            unknown[item] = None
        elif rows[place] < 0:
            rows[place] = row
        else:
            repeats.append((int(rows[place]), row))
    return Matched(rows, np.array(repeats, dtype=np.int64).reshape(-1, 2), list(unknown))


def require_agreement(vectors: NpyVectors, matched: Matched, row_ids: Sequence[str | None]) -> None:
    """Refuse an item that has two different vectors: it cannot be known which one is right.

    Raises:
        LatentStoreError: some item has, by more than AGREEMENT.
    """
    for at in range(0, len(matched.repeats), ROWS_AT_ONCE):
        part = matched.repeats[at : at + ROWS_AT_ONCE]
        first, again = (vectors.take(np.ascontiguousarray(part[:, which])) for which in (0, 1))
        differing = _differ(first, again)
        if differing.any():
            one, other = part[differing.argmax()].tolist()
            raise LatentStoreError(
                f"{vectors.path}: rows {one} and {other} are both named {row_ids[one]!r}, but hold different vectors "
                f"({int(differing.sum()):,} such rows among the first {at + len(part):,} repeated ones). "
                "Ids must name items; leave the wrong rows out."
            )


def _differ(first: Float[np.ndarray, "n dim"], again: Float[np.ndarray, "n dim"]) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.linalg.norm((first - again).astype(np.float64), axis=1)
        length = np.linalg.norm(first.astype(np.float64), axis=1)
    # Rows that are not finite on either side are set aside later, so they contradict nothing.
    finite = np.isfinite(first).all(axis=1) & np.isfinite(again).all(axis=1)
    return finite & (distance > AGREEMENT * length)


def fill_store(
    writer: StoreWriter,
    item_ids: Sequence[str],
    vectors: NpyVectors,
    rows: Int64[np.ndarray, " items"],
    *,
    advance: Callable[[int], object],
) -> None:
    """Write the shards that are missing; items without a usable vector are rejected in stage `import`.

    Args:
        writer: of the store.
        item_ids: of all items, in order of rows of the store.
        vectors: source.
        rows: for each item its row in `vectors`, or -1.
        advance: told the number of items after each shard.
    """
    for index in writer.missing():
        span = writer.spans[index]
        here = rows[span.start : span.stop]
        latents = np.zeros((len(span), vectors.dim), dtype=np.float32)
        latents[here >= 0] = vectors.take(here[here >= 0])
        finite = np.isfinite(latents).all(axis=1)
        latents[~finite] = 0
        rejected = [
            Rejected(item_ids[span[i]], "import", NO_VECTOR if here[i] < 0 else NOT_FINITE)
            for i in np.flatnonzero((here < 0) | ~finite)
        ]
        writer.write(index, latents, rejected)
        advance(len(span))


NO_VECTOR = "there is no vector for it among the imported ones"
NOT_FINITE = "its imported vector holds NaN, infinity or a number beyond float32"
