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

from fusemix.errors import IndexFolderError
from fusemix.files import write_atomic

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("modality", pa.string()),
        ("path", pa.string()),  # as its source names it; relative to the folder that was indexed
        ("captions", pa.list_(pa.string())),  # what is known of the item in words
        ("source", pa.int32()),  # number in index.json
        ("row", pa.int64()),  # in its source
    ]
)
ROWS_IN_GROUP = 1024
GROUPS_KEPT = 256


def write_items(path: Path, table: pa.Table) -> None:
    """Write a table of items in SCHEMA."""
    with write_atomic(path) as file:
        pq.write_table(table, file, row_group_size=ROWS_IN_GROUP)


class ItemTable:
    """The items of one segment. Several threads may ask at once.

    Args:
        path: of the parquet file.
        num_items: that it must hold.

    Raises:
        IndexFolderError: the file is missing or damaged.
    """

    def __init__(self, path: Path, num_items: int) -> None:
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise IndexFolderError(f"{path} is missing or damaged. Make the index anew with --overwrite.") from error
        if self._file.metadata.num_rows != num_items:
            raise IndexFolderError(f"{path} has not {num_items:,} rows. Make the index anew with --overwrite.")
        self._lock = Lock()
        self._group = lru_cache(maxsize=GROUPS_KEPT)(self._read_group)

    def rows(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Some rows, in the order asked for."""
        groups, places = np.divmod(np.asarray(positions, dtype=np.int64), ROWS_IN_GROUP)
        found: dict[int, dict[str, Any]] = {}
        for group in np.unique(groups).tolist():
            here = np.flatnonzero(groups == group)
            rows = self._group(group).take(pa.array(places[here])).to_pylist()  # all at once: each call costs 50 µs
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
        with self._lock:
            return self._file.read([name])[name]

    def table(self) -> pa.Table:
        """All rows."""
        with self._lock:
            return self._file.read()

    def _read_group(self, group: int) -> pa.Table:
        with self._lock:  # one reader of a file at a time
            return self._file.read_row_group(group)
