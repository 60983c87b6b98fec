"""The table of an index: LanceDB's, which keeps items, searches, filters and removes them.

Place in the flow: index folder -> table; unit vectors and what is known of items -> rows of it.

A row has a number that stays its own, whatever is added, removed or moved within the table. Every change is one commit:
who reads sees all of it or nothing, and two writers cannot overwrite one another.
"""

import os
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from fusemix.search.description import ITEMS, TABLE, telling_damage

VECTOR, ROW = "vector", "_rowid"
ABOUT = pa.schema(
    [
        ("id", pa.string()),
        ("modality", pa.string()),
        ("path", pa.string()),  # as its origin names it; relative to the folder that was indexed
        ("captions", pa.list_(pa.string())),  # what is known of the item in words
        ("source", pa.int32()),  # number in index.json
        ("row", pa.int64()),  # in its origin
    ]
)
"""What is known of an item, but for its vector."""
STATE = pa.schema([("num_bytes", pa.int64()), ("mtime_ns", pa.int64()), ("sha256", pa.string())])
"""What its file was when it was embedded; null where it is none."""
FIXED_ROWS = {"new_table_enable_stable_row_ids": "true"}
CACHED_BYTES = 1 << 30
"""Codes of an index that are kept in memory, at most."""
NUMBERS = {"float32": pa.float32(), "float16": pa.float16()}


@cache
def _lance() -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of what is meant
    import lancedb

    return lancedb


@cache
def _session() -> Any:
    return _lance().Session(index_cache_size_bytes=CACHED_BYTES)


def _connected(folder: Path) -> Any:
    """Of an index folder; whoever reads a table of it sees what others have written since."""
    return _lance().connect(folder, read_consistency_interval=timedelta(0), session=_session())


def open_table(folder: Path) -> Any | None:
    """The table of an index, or None where it has none yet, or an empty one.

    Raises:
        IndexFolderError: it is damaged.
    """
    if not (folder / TABLE).is_dir():
        return None
    with telling_damage(folder / TABLE):
        table = _connected(folder).open_table(ITEMS)
        return table if table.count_rows() else None


def empty_table(folder: Path, width: int, precision: str) -> Any:
    """A table without items, in place of one that was begun, if any.

    Args:
        folder: of the index.
        width: numbers of a vector.
        precision: of these.
    """
    schema = pa.schema([*ABOUT, *STATE]).append(pa.field(VECTOR, pa.list_(NUMBERS[precision], width)))
    return _connected(folder).create_table(ITEMS, schema=schema, mode="overwrite", storage_options=FIXED_ROWS)


def is_of_items(schema: pa.Schema, width: int) -> bool:
    """Whether a table holds what an index needs."""
    if any(name not in schema.names or schema.field(name).type != ABOUT.field(name).type for name in ABOUT.names):
        return False
    kind: Any = schema.field(VECTOR).type if VECTOR in schema.names else None
    return kind is not None and pa.types.is_fixed_size_list(kind) and kind.list_size == width


def rows_of(vectors: Float32[np.ndarray, "items width"], about: pa.Table, precision: str) -> pa.Table:
    """Items as a table takes them.

    Args:
        vectors: unit length, each with what is added to its scores.
        about: one row an item, in ABOUT, and perhaps in STATE.
        precision: of the table.
    """
    assert len(vectors) == about.num_rows, "a row an item"
    for field in STATE:
        if field.name not in about.column_names:
            about = about.append_column(field, pa.nulls(len(about), field.type))
    about = about.select([*ABOUT.names, *STATE.names]).cast(pa.schema([*ABOUT, *STATE]))
    numbers = pa.array(np.ascontiguousarray(vectors, dtype=precision).ravel())
    return about.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1]))


def vectors_in(batch: pa.RecordBatch | pa.Table) -> Float32[np.ndarray, "rows width"]:
    """The vectors of some rows."""
    column = batch[VECTOR]
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    width = column.type.list_size
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), width).astype(np.float32)


def quoted(text: str) -> str:
    """A text as a filter names it."""
    return "'" + text.replace("'", "''") + "'"
