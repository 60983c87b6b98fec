"""What an index knows of its items, in parquet: any row is read by decoding one small group of rows.

Place in the flow: positions -> rows; an id -> its position.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fusemix.disk.files import write_atomic
from fusemix.search.description import damaged, telling_damage

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("modality", pa.string()),
        ("path", pa.string()),  # as its origin names it; relative to the folder that was indexed
        ("captions", pa.list_(pa.string())),  # what is known of the item in words
        ("source", pa.int32()),  # number in index.json
        ("row", pa.int64()),  # in its origin
    ]
)
ROWS_IN_GROUP = 1024
GROUPS_KEPT = 256
MAGIC = b"PAR1"
FOOTER_BYTES = 8
"""At the end of a file: the length of its footer, and MAGIC."""


def write_items(path: Path, table: pa.Table) -> None:
    """Write a table of items in SCHEMA."""
    with write_atomic(path) as file:
        pq.write_table(table, file, row_group_size=ROWS_IN_GROUP, write_page_checksum=True)


def bulk_of_items(path: Path) -> tuple[int, int]:
    """Where the rows stand in a file of items: between its first four bytes and its footer."""
    with path.open("rb") as file:
        end = file.seek(-FOOTER_BYTES, 2)
        return len(MAGIC), end - int.from_bytes(file.read(FOOTER_BYTES - len(MAGIC)), "little")


class ItemTable:
    """The items of one segment. Several threads may ask at once.

    Args:
        path: of the parquet file.
        num_items: that it must hold.

    Raises:
        IndexFolderError: the file is missing or damaged.
    """

    def __init__(self, path: Path, num_items: int) -> None:
        self._path = path
        with telling_damage(self._path):
            self._file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
        if self._file.metadata.num_rows != num_items or not self._file.schema_arrow.equals(SCHEMA):
            raise damaged(path, f"is not a table of {num_items:,} items")
        self._lock = Lock()
        self._group = lru_cache(maxsize=GROUPS_KEPT)(self._read_group)

    def rows(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Some rows, in the order asked for."""
        groups, places = np.divmod(np.asarray(positions, dtype=np.int64), ROWS_IN_GROUP)
        found: dict[int, dict[str, Any]] = {}
        for group in np.unique(groups).tolist():
            here = np.flatnonzero(groups == group)
            with telling_damage(self._path):
                rows = self._group(group).take(pa.array(places[here])).to_pylist()  # at once: each call costs 50 µs
            found.update(zip(here.tolist(), rows, strict=True))
        return [found[place] for place in range(len(positions))]

    def find(self, wanted: str) -> int | None:
        """Position of an id, or None; only groups whose smallest and largest id enclose it are read."""
        column = self._file.schema_arrow.get_field_index("id")
        for group in range(self._file.num_row_groups):
            bounds = self._file.metadata.row_group(group).column(column).statistics
            if bounds is not None and bounds.has_min_max and not bounds.min <= wanted <= bounds.max:
                continue
            place = pc.call_function("index", [self._group(group)["id"]], pc.IndexOptions(pa.scalar(wanted))).as_py()
            if place >= 0:
                return group * ROWS_IN_GROUP + place
        return None

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column."""
        with self._lock, telling_damage(self._path):
            return self._file.read([name])[name]

    def table(self) -> pa.Table:
        """All rows."""
        with self._lock, telling_damage(self._path):
            return self._file.read()

    def _read_group(self, group: int) -> pa.Table:
        with self._lock, telling_damage(self._path):  # one reader of a file at a time
            return self._file.read_row_group(group)
