"""What items are filtered by: when and by which camera pictures were taken, and columns of the caption file's own.

Place in the flow: files and item tables -> columns of the index's table.
"""

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from fusemix.disk.regular import open_regular
from fusemix.encoders.exif import Exif, exif_of
from fusemix.search.table import ABOUT, KINDS, KNOWN, STATE, THUMBNAIL, VECTOR, WORDS
from fusemix.urls import is_url

THREADS = 8
LARGEST = 1 << 53
"""Whole numbers below it are told apart."""
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
"""A text that is a number and nothing else; `007` is none."""
TRUTHS = {"true": True, "false": False}


def photo_columns(root: str, paths: Sequence[str | None]) -> dict[str, pa.Array]:
    """When, and by which camera, pictures were taken; null where their files do not say, or lie elsewhere.

    Args:
        root: folder that relative paths begin at, or a URL, behind which nothing is read a second time.
        paths: of the pictures.
    """
    if is_url(root):
        found = [Exif()] * len(paths)
    else:
        with ThreadPoolExecutor(THREADS) as threads:
            found = list(threads.map(lambda path: _exif_at(Path(root), path), paths))
    return {name: pa.array([getattr(one, name) for one in found], KNOWN.field(name).type) for name in Exif._fields}


def _exif_at(root: Path, path: str | None) -> Exif:
    if path is None:
        return Exif()
    try:
        with open_regular(root / path) as file:
            return exif_of(file)
    except (OSError, ValueError):
        return Exif()


def own_columns(rows: Sequence[str | None]) -> pa.Table:
    """Columns of a caption file, each of texts, numbers or truths.

    Args:
        rows: what it says of each item, as the JSON of an object; null, or empty, where it says nothing.
    """
    said: list[dict[str, Any]] = [json.loads(row) if row else {} for row in rows]
    names = dict.fromkeys(name for row in said for name in row)
    columns: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in said]
        called = _free(re.sub(r"\W", "_", name), columns)
        columns[called] = _typed(values)
    return pa.table({name: column for name, column in columns.items() if column.null_count < len(column)})


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in (*ABOUT.names, *STATE.names, *KNOWN.names, WORDS, THUMBNAIL, VECTOR, *taken) or not name.strip("_"):
        name = f"own_{name}"
    return name


def _typed(values: Sequence[Any]) -> pa.Array:
    given = [value for value in values if value not in (None, "")]
    if all(isinstance(value, bool) or str(value).lower() in TRUTHS for value in given):
        return pa.array([TRUTHS.get(str(value).lower()) for value in values], KINDS["truth"])
    if all(_is_number(value) for value in given):
        return pa.array([None if value in (None, "") else float(value) for value in values], KINDS["number"])
    return pa.array([None if value in (None, "") else _text(value) for value in values], KINDS["text"])


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not NUMBER.fullmatch(str(value)):
        return False
    return abs(float(value)) < LARGEST


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def fitting(own: pa.Table, there: pa.Schema | None) -> pa.Table:
    """Columns for an index that has some already; one that holds something else there is kept under another name.

    Args:
        own: as `own_columns` gives them.
        there: columns of the index; None where it has none yet.
    """
    names = []
    for field in own.schema:
        name = field.name
        if there is not None and name in there.names and there.field(name).type != field.type:
            kind = next(kind for kind, one in KINDS.items() if one == field.type)
            name = f"{name}_{kind}"
        names.append(name)
    return own.rename_columns(names)
