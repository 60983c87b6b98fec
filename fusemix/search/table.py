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
import pyarrow.compute as pc
from jaxtyping import Float32

from fusemix.search.description import ITEMS, TABLE, telling_damage
from fusemix.search.names import words_of_items

VECTOR, ROW = "vector", "_rowid"
WORDS = "words"
"""Column of what is written of an item, see names.py; an index that was made before it has none."""
THUMBNAIL = "thumbnail"
"""Column of what is seen of an item, see encoders/thumbnails.py: bytes, in an index of anybody's whatever bytes. Null
where none was made; an index that was made before it has none until it is added to."""
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
KNOWN = pa.schema([("folder", pa.string()), ("taken", pa.timestamp("s")), ("camera", pa.string())])
"""What is filtered by besides; null where it is not known. Columns of the caption file follow. An index that was made
before these has none of them until it is added to."""
KINDS = {"text": pa.string(), "number": pa.float64(), "truth": pa.bool_()}
"""What a column of a caption file may hold."""
PATH_END = "/?[^/]*$"
"""Of a path, what its folder has not."""
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
    vector = pa.field(VECTOR, pa.list_(NUMBERS[precision], width))
    schema = pa.schema([*ABOUT, *STATE, *KNOWN, pa.field(WORDS, pa.string()), pa.field(THUMBNAIL, pa.binary()), vector])
    return _connected(folder).create_table(ITEMS, schema=schema, mode="overwrite", storage_options=FIXED_ROWS)


def is_of_items(schema: pa.Schema, width: int) -> bool:
    """Whether a table holds what an index needs."""
    if any(name not in schema.names or schema.field(name).type != ABOUT.field(name).type for name in ABOUT.names):
        return False
    kind: Any = schema.field(VECTOR).type if VECTOR in schema.names else None
    return kind is not None and pa.types.is_fixed_size_list(kind) and kind.list_size == width


def widen(table: Any, about: pa.Schema) -> None:
    """Give a table the columns that it lacks; what it holds has null there, but for the folder, which a path says."""
    lacking = [field for field in [*STATE, *KNOWN, *about] if field.name not in table.schema.names]
    if any(field.name == "folder" for field in lacking):
        table.add_columns({"folder": f"regexp_replace(path, '{PATH_END}', '')"})
    if others := [field for field in lacking if field.name != "folder"]:
        table.add_columns(pa.schema(others))


def conformed(about: pa.Table, schema: pa.Schema) -> pa.Table:
    """Items with all columns of a table but the vector; null where nothing is known.

    Args:
        about: one row an item, in ABOUT, with any further columns.
        schema: of the table. Of one whose column of this name came from a caption file, thumbnails are left out.
    """
    if THUMBNAIL in about.column_names and not pa.types.is_binary(schema.field(THUMBNAIL).type):
        about = about.drop_columns([THUMBNAIL])
    if "folder" not in about.column_names:
        folders = pc.call_function("replace_substring_regex", [about["path"]], pc.ReplaceSubstringOptions(PATH_END, ""))
        about = about.append_column("folder", folders)
    about = about.append_column(WORDS, words_of_items(about))
    fields = [field for field in schema if field.name != VECTOR]
    columns = [
        about[field.name].cast(field.type) if field.name in about.column_names else pa.nulls(len(about), field.type)
        for field in fields
    ]
    return pa.table(columns, schema=pa.schema(fields))


def rows_of(vectors: Float32[np.ndarray, "items width"], about: pa.Table, precision: str) -> pa.Table:
    """Items as a table takes them.

    Args:
        vectors: unit length, each with what is added to its scores.
        about: one row an item, with what `conformed` gives.
        precision: of the table.
    """
    assert len(vectors) == about.num_rows, "a row an item"
    numbers = pa.array(np.ascontiguousarray(vectors, dtype=precision).ravel())
    return about.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1]))


def vectors_in(batch: pa.RecordBatch | pa.Table) -> Float32[np.ndarray, "rows width"]:
    """The vectors of some rows."""
    column = batch[VECTOR]
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    width = column.type.list_size
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), width).astype(np.float32)


def having(table: Any, word: str, most: int, where: str | None) -> dict[int, float]:
    """Rows that have all runs of a word, each with its BM25; none in a table whose words are not indexed (yet)."""
    if not any(one.columns == [WORDS] for one in table.list_indices()):
        return {}
    from lancedb.query import MatchQuery

    match = MatchQuery(word, WORDS, operator="AND")  # pyright: ignore[reportCallIssue]: the others have defaults
    asked = table.search(match, query_type="fts").limit(most)
    asked = asked if where is None else asked.where(where, prefilter=True)
    rows = asked.select(["id", "_score"]).with_row_id(True).to_arrow()
    return dict(zip(rows[ROW].to_pylist(), rows["_score"].to_pylist(), strict=True))


def quoted(text: str) -> str:
    """A text as a filter names it."""
    return "'" + text.replace("'", "''") + "'"
