"""Item tables of a latent set, as files and as hashes.

Place in the flow: tables <-> parquet, batch by batch; a table -> its hash.
Not here: links (links.py).
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fusemix.disk.files import write_atomic
from fusemix.errors import LatentStoreError, first_line
from fusemix.interfaces import OWN

TIMES = "mtime_ns"
"""Column of when the file of an item was last changed: a hint to look there, which a set does not keep."""
NOT_IDENTITY = {"path", OWN, TIMES}
"""Columns that may change without the item being another one: files can be moved, and more be said of them."""
LABELS = ("caption", "title", "name")
"""Columns that say what an item is, for people."""
CHANGED = "does not have the content that it was sealed with"
TEXT = pa.large_string()
ROWS_AT_ONCE = 65_536
ROWS_IN_GROUP = 2 * ROWS_AT_ONCE


def items_sha256(table: pa.Table) -> str:
    """Hash of an item table's rows, in order, whatever the version of parquet.

    Hashed are the names of the columns as a JSON list, and every row as one, with nothing in between.
    """
    columns = [name for name in table.column_names if name not in NOT_IDENTITY]
    digest = hashlib.sha256(json.dumps(columns).encode())
    for batch in table.select(columns).to_batches(max_chunksize=ROWS_AT_ONCE):
        digest.update(_json_rows(batch))
    return digest.hexdigest()


def _json_rows(batch: pa.RecordBatch) -> memoryview:
    """The rows as `json.dumps(row, ensure_ascii=False)` writes them, put together by Arrow, seven times as fast."""
    rows = _joined("[", _joined(*map(_json_values, batch.columns), between=", "), "]")
    _, offsets, letters = rows.buffers()
    return memoryview(letters)[: np.frombuffer(offsets, dtype=np.int64)[len(rows)]]


def _json_values(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type) and not column.null_count:
        return column.cast(TEXT)
    if (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)) and not column.null_count:
        text = column.cast(TEXT)
        has_control = pc.call_function("match_substring_regex", [text], pc.MatchSubstringOptions("[\\x00-\\x1f]"))
        if not has_control.true_count:
            for mark in "\\", '"':
                text = pc.call_function("replace_substring", [text], pc.ReplaceSubstringOptions(mark, f"\\{mark}"))
            return _joined('"', text, '"')
    return pa.array([json.dumps(value, ensure_ascii=False) for value in column.to_pylist()], TEXT)


def _joined(*parts: pa.Array | str, between: str = "") -> pa.Array:
    return pc.call_function(
        "binary_join_element_wise",
        [*(pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts), pa.scalar(between, TEXT)],
    )


def write_table(path: Path, table: pa.Table) -> None:
    """Write an item table."""
    table = table.select([name for name in table.column_names if name != TIMES])
    with write_atomic(path) as file:
        pq.write_table(table, file, row_group_size=ROWS_IN_GROUP)


def read_table(path: Path) -> pa.Table:
    """A table, copied batch by batch to where an array takes no more room than it needs.

    Of many arrays of some MB, Arrow's usual allocator keeps nearly twice their size.
    """
    pool = pa.system_memory_pool()
    batches = []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            # Arrow copies where there are two arrays to join, if only one of them holds anything.
            columns = [pa.concat_arrays([column, column.slice(0, 0)], memory_pool=pool) for column in batch.columns]
            batches.append(pa.record_batch(columns, schema=batch.schema))
        return pa.Table.from_batches(batches, file.schema_arrow)


def table_problem(path: Path, num_rows: int, sha256: str | None = None) -> str | None:
    """What is wrong with an item table, or None.

    Args:
        path: of the table.
        num_rows: that it must have.
        sha256: of its rows; None looks at their number alone, which takes no longer for millions.
    """
    if not path.is_file():
        return "is missing"
    try:
        found = pq.read_metadata(path).num_rows
        if found != num_rows:
            return f"has {found:,} rows, not {num_rows:,}"
        is_whole = sha256 is None or items_sha256(pq.read_table(path)) == sha256
    except (OSError, ValueError) as error:  # ValueError: what pyarrow raises for a damaged file
        return unreadable(error)
    return None if is_whole else CHANGED


def read_sealed_table(path: Path, num_rows: int) -> pa.Table:
    """An item table, which must have as many rows as when it was sealed.

    Raises:
        LatentStoreError: it has not, or cannot be read.
    """
    require_sound(path, table_problem(path, num_rows))
    try:
        table = read_table(path)
        if "id" not in table.column_names or table["id"].type not in (pa.string(), TEXT):
            raise ValueError("it has no column 'id' of texts")
        return table
    except (OSError, ValueError) as error:
        require_sound(path, unreadable(error))
        raise


def unreadable(error: Exception) -> str:
    """What is wrong with a file that pyarrow could not read."""
    return f"cannot be read: {first_line(error)}"


def require_sound(path: Path, problem: str | None) -> None:
    """Refuse to read a table of a set that is not what was sealed.

    Raises:
        LatentStoreError: there is a problem.
    """
    if problem:
        raise LatentStoreError(
            f"{path} {problem}, so the set is damaged. Run the command that made it again, with the same settings: it "
            "writes a table again that is missing or too short, and with verify=true one whose content has changed."
        )
