"""What a killed `fusemix index` has embedded already, known by content, so that it is given to nothing else.

Place in the flow: new items of a folder -> which are done -> parts of the others as they are embedded -> all, in order.

    parts/<name>/                  of one origin with one model
    parts/<name>/<name>.parquet    some items: path, size and times of change, and embedding or reason

An item counts as done where its path, its size, and the times when its content and its entry were last changed are
those of before. Only files and folders that bear a name of ours are ever deleted.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int64

from fusemix.disk.files import sha256_of_json, write_atomic
from fusemix.disk.proven_names import is_ours, name_of, new_name
from fusemix.interfaces import Rejected
from fusemix.models.embedder import Embedded
from fusemix.search.writer import require_own_place

STATE = ("num_bytes", "mtime_ns", "ctime_ns")
OF_WHAT = b"fusemix.index.part"
SUFFIX = ".parquet"
PARTS_OPEN = 4
TEXT = pa.large_string()


def states_of(paths: Iterable[str], num_items: int) -> Int64[np.ndarray, "items 3"]:
    """Size, and times of change of content and entry in nanoseconds; -1 where a file cannot be looked at.

    Args:
        paths: of the files.
        num_items: how many there are.
    """
    states = np.full((num_items, len(STATE)), -1, dtype=np.int64)
    for row, path in enumerate(paths):
        with suppress(OSError, ValueError):
            status = os.stat(path)  # noqa: PTH116 - a Path for each of millions takes its time
            states[row] = status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return states


class DoneSoFar:
    """Embeddings of some items, as far as they are there.

    Args:
        folder: `parts/` of the index.
        about: what embeddings depend on besides the files, as plain data.
        ids: of the items.
        states: of their files, before any of them is read.

    Raises:
        IndexFolderError: `parts/` is only linked.
    """

    def __init__(
        self, folder: Path, about: Mapping[str, Any], ids: pa.ChunkedArray, states: Int64[np.ndarray, "items 3"]
    ) -> None:
        require_own_place(folder)
        self._about = sha256_of_json(about)
        self._folder = folder / name_of(self._about[:16])
        columns = [pa.chunked_array([pa.array(states[:, place])]) for place in range(len(STATE))]
        self._keys = pa.table([ids, *columns], names=["id", *STATE])
        self._part, self._row = np.full(len(ids), -1, np.int32), np.zeros(len(ids), np.int32)
        self._paths: list[Path] = []
        self._read = lru_cache(PARTS_OPEN)(lambda part: pq.read_table(self._paths[part]))
        self._find()

    @property
    def missing(self) -> Int64[np.ndarray, " missing"]:
        """Which items are not done."""
        return np.flatnonzero(self._part < 0)

    def _find(self) -> None:
        tables = [(path, table) for path in _files_in(self._folder) if (table := self._keys_in(path)) is not None]
        if not tables:
            return
        self._paths = [path for path, _ in tables]
        sizes = [len(table) for _, table in tables]
        parts, rows = np.repeat(np.arange(len(sizes)), sizes), np.concatenate([np.arange(size) for size in sizes])
        there = pc.SetLookupOptions(_joined(pa.concat_tables([table for _, table in tables])))
        found = pc.call_function("index_in", [_joined(self._keys)], there).fill_null(-1).to_numpy()
        is_there = (found >= 0) & (self._keys["num_bytes"].to_numpy() >= 0)
        self._part[is_there], self._row[is_there] = parts[found[is_there]], rows[found[is_there]]

    def _keys_in(self, path: Path) -> pa.Table | None:
        """What a part holds; None where it is of something else, or damaged."""
        with suppress(OSError, ValueError, KeyError, pa.ArrowException):
            table = pq.read_table(path, page_checksum_verification=True)
            if (table.schema.metadata or {}).get(OF_WHAT) == self._about.encode():
                return table.select(["id", *STATE])
        return None

    def keep(self, rows: Int64[np.ndarray, " some"], embedded: Embedded) -> None:
        """Write down what was just embedded.

        Args:
            rows: which items.
            embedded: what they gave.
        """
        table = self._keys.take(pa.array(rows))
        said = {item.id: item for item in embedded.rejected}
        items = [said.get(item) for item in table["id"].to_pylist()]
        vectors = pa.FixedSizeListArray.from_arrays(
            pa.array(embedded.embeddings.astype(np.float32).ravel()), embedded.embeddings.shape[1]
        )
        for name, column in (
            ("stage", pa.array([item and item.stage for item in items], pa.string())),
            ("reason", pa.array([item and item.reason for item in items], pa.string())),
            ("embedding", vectors),
        ):
            table = table.append_column(name, column)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{new_name()}{SUFFIX}"
        with write_atomic(path) as file:
            pq.write_table(table.replace_schema_metadata({OF_WHAT: self._about}), file, write_page_checksum=True)
        self._part[rows], self._row[rows] = len(self._paths), np.arange(len(rows))
        self._paths.append(path)

    def take(self, rows: Int64[np.ndarray, " some"]) -> Embedded:
        """What some items gave, all of which are done, in the order asked for."""
        embeddings, rejected = None, []
        for part in np.unique(self._part[rows]).tolist():
            here = np.flatnonzero(self._part[rows] == part)
            table = self._read(part).take(pa.array(self._row[rows[here]]))
            column = table["embedding"].combine_chunks()
            vectors = column.flatten().to_numpy().reshape(len(here), -1)
            if embeddings is None:
                embeddings = np.empty((len(rows), vectors.shape[1]), np.float32)
            embeddings[here] = vectors
            rejected += [Rejected(**row) for row in table.select(["id", "stage", "reason"]).to_pylist() if row["stage"]]
        assert embeddings is not None, "some items"
        return Embedded(embeddings, tuple(rejected))

    def forget(self) -> None:
        """Delete the parts of this origin and model."""
        _remove(self._folder)


def forget_all(folder: Path) -> None:
    """Delete the parts of every origin.

    Args:
        folder: `parts/` of an index.
    """
    if folder.is_dir() and not folder.is_symlink():
        for below in folder.iterdir():
            if is_ours(below.name):
                _remove(below)


def _files_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir() and not folder.is_symlink():
        yield from (path for path in sorted(folder.iterdir()) if is_ours(path.stem) and path.suffix == SUFFIX)


def _remove(folder: Path) -> None:
    for path in _files_in(folder):
        path.unlink()
    for empty in (folder, folder.parent):
        with suppress(OSError):  # it is not there, or something else is in it, which stays
            empty.rmdir()


def _joined(keys: pa.Table) -> pa.ChunkedArray:
    """One text an item, equal where all of its key is."""
    columns = [keys[name].cast(pa.string()).cast(TEXT) for name in ("id", *STATE)]
    return pc.call_function("binary_join_element_wise", [*columns, pa.scalar("\0", TEXT)])
