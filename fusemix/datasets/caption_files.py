"""Caption files in the layouts that people have: CSV, TSV, JSONL, Karpathy's and COCO's JSON, Flickr's token file.

Place in the flow: a caption file -> lines of (file, caption, split).
Not here: JSON of one piece (caption_json.py), and whether the files are there (captioned_files.py).
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, TypeVar

from fusemix.datasets.caption_json import CaptionLine, from_json
from fusemix.datasets.given_values import captions_in, name_in, plain_path, split_in, unique_pairs
from fusemix.datasets.own_columns import own_of
from fusemix.datasets.tables import SEPARATORS, columns_of, separator_of, table_rows
from fusemix.errors import DatasetError
from fusemix.interfaces import Rejected
from fusemix.text_files import open_text, why_no_text

Value = TypeVar("Value")

FILE_COLUMNS = (
    "file",
    "file_name",
    "filename",
    "file_path",
    "filepath",
    "path",
    "image",
    "image_path",
    "audio",
    "clip",
)
CAPTION_COLUMNS = ("caption", "captions", "text", "sentence", "description", "raw", "title")
NUMBERED = re.compile(r"caption_\d+")
MAY_BEGIN_A_LIST = "[{( \t\n"
"""Letters before which a text is looked at closely; of five million captions few begin so."""
TOKEN_LINE = re.compile(r"(?P<file>[^\t]+)#\d+\t(?P<caption>.*)")


def read_captions(
    path: Path, *, file_column: str | None, caption_column: str | None, aside: list[Rejected] | None = None
) -> Iterator[CaptionLine]:
    """Read a caption file whose layout follows from its ending, line by line.

    `.csv` and `.tsv` have a header; `.jsonl` holds one object a line; `.json` is Karpathy's
    layout or COCO's own, which are read whole; any other ending is Flickr's `file.jpg#0<TAB>caption`.

    Args:
        path: the caption file, UTF-8, or UTF-16 with a byte order mark.
        file_column, caption_column: names of the columns; None looks for the usual ones
            (for captions also `caption_1`, `caption_2`, … as Clotho has them).
        aside: receives captions that name no file, of COCO's own layout, which has no splits; None is for data sets
            that need Karpathy's.

    Raises:
        DatasetError: at once where the file is missing; while it is read where it is empty or not in the layout
            that its ending promises.
    """
    if not path.is_file():
        raise DatasetError(f"there is no caption file {path}.")
    return _stream(path, file_column, caption_column, aside)


def _stream(
    path: Path, file_column: str | None, caption_column: str | None, aside: list[Rejected] | None
) -> Iterator[CaptionLine]:
    line = None
    try:
        with open_text(path) as file:
            for line in _read(path, file, file_column, caption_column, aside):
                yield line
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} cannot be read as {path.suffix or 'text'} in UTF-8: {why_no_text(path)}") from error
    except (json.JSONDecodeError, csv.Error, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as {path.suffix or 'text'} in UTF-8: {error}") from error
    if line is None:
        raise DatasetError(f"{path} holds no caption.")


def _read(
    path: Path, file: TextIO, file_column: str | None, caption_column: str | None, aside: list[Rejected] | None
) -> Iterator[CaptionLine]:
    # A file gives lines that end in \n alone, whatever ended them; U+2028 and U+0085, which a caption may hold, do not.
    match path.suffix.lower():
        case ".csv" | ".tsv":
            header = next(file, "")
            usual = "," if path.suffix.lower() == ".csv" else "\t"
            separator = separator_of(header, usual, lambda names: _are_wanted(names, file_column, caption_column))
            rows = _table_rows(path, chain([header] if header else [], file), separator)
            return _from_rows(path, rows, file_column, caption_column)
        case ".jsonl":
            return _from_rows(path, _json_rows(path, file), file_column, caption_column)
        case ".json":
            return from_json(path, file, aside)
        case _:
            return _from_tokens(path, file)


def _json_rows(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                row = json.loads(line)
                if not isinstance(row, dict) or line.count('":') != len(row):  # nested, or two keys are equal
                    row = json.loads(line, object_pairs_hook=unique_pairs)
            except json.JSONDecodeError:
                raise
            except ValueError as error:
                raise DatasetError(f"{path}, line {number}: {error}, so it cannot be known what is meant.") from error
            if not isinstance(row, dict):
                raise DatasetError(f"{path}: every line must be a JSON object with a file and a caption.")
            yield number, row


def _table_rows(path: Path, file: Iterable[str], separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, (line, row) in enumerate(table_rows(path, file, separator), start=1):
        extra = row.pop(None, [])  # what the header has no name for
        if any(extra):
            raise DatasetError(
                f"{path}, row {number} after the header: it has more fields than the header, starting with "
                f"{extra[0]!r}. A caption that holds {separator!r} must stand in double quotes."
            )
        yield line, row


def _from_rows(
    path: Path, rows: Iterator[tuple[int, dict[str, Any]]], file_column: str | None, caption_column: str | None
) -> Iterator[CaptionLine]:
    first = next(rows, None)
    if first is None:
        return
    columns = [str(column) for column in first[1]]
    file_key = _find(path, columns, "file", file_column, FILE_COLUMNS)
    numbered = [column for column in columns if NUMBERED.fullmatch(column)]
    if caption_column is None and numbered:
        caption_keys = [*(column for column in CAPTION_COLUMNS[:1] if column in columns), *numbered]
    else:
        caption_keys = [_find(path, columns, "caption", caption_column, CAPTION_COLUMNS)]
    known = {file_key, "split", *caption_keys}
    for number, row in chain([first], rows):
        own = own_of(row, known)
        file, split = row.get(file_key), row.get("split")
        if not isinstance(file, str):
            file = _value(name_in, file, "file", path, number, "file")
        if split is not None:
            split = _value(split_in, split, "split", path, number, None)
        for key in caption_keys:
            caption = row.get(key)
            if isinstance(caption, str) and caption[:1] not in MAY_BEGIN_A_LIST:
                yield CaptionLine(plain_path(file), caption, split, own)
                continue
            # A file without any caption passes with an empty one, so that it is listed as left out.
            for each in _value(captions_in, caption, "caption", path, number, "caption") or [""]:
                yield CaptionLine(plain_path(file), each, split, own)


def _value(read: Callable[[Any], Value], value: Any, what: str, path: Path, line: int, option: str | None) -> Value:
    """What `read` makes of a value.

    Raises:
        DatasetError: it makes nothing of it; says in which line.
    """
    try:
        return read(value)
    except ValueError as error:
        fix = f", or name another column as dataset.options.{option}_column=…" if option else ""
        raise DatasetError(
            f"{path}, line {line}: the {what} is {error}, and must be text. Put it in quotes{fix}."
        ) from error


def _are_wanted(columns: Sequence[str], file_column: str | None, caption_column: str | None) -> bool:
    """Whether a table of these columns has files and captions."""
    has_captions = caption_column is None and any(map(NUMBERED.fullmatch, columns))
    has_captions = has_captions or _found(columns, caption_column, CAPTION_COLUMNS) is not None
    return has_captions and _found(columns, file_column, FILE_COLUMNS) is not None


def _found(columns: Sequence[str], wanted: str | None, usual: tuple[str, ...]) -> str | None:
    return next((column for column in ([wanted] if wanted else usual) if column in columns), None)


def _find(path: Path, columns: list[str], what: str, wanted: str | None, usual: tuple[str, ...]) -> str:
    found = _found(columns, wanted, usual)
    if found is None:
        asked = f"no column {wanted!r}" if wanted else f"none of the usual columns for the {what}"
        raise DatasetError(f"{path} has {asked}. It has: {_told(columns)}. Name one as dataset.options.{what}_column=…")
    return found


def _told(columns: list[str]) -> str:
    """Names of columns; of a single one that holds another mark, what it would be parted into."""
    for mark in SEPARATORS if len(columns) == 1 else ():
        if len(parts := columns_of(columns[0], mark)) > 1:
            name = {",": "commas", ";": "semicolons", "\t": "tabs"}[mark]
            return f"{', '.join(parts)} (parted by {name}, which is seen once file_column and caption_column name two)"
    return ", ".join(columns)


def _from_tokens(path: Path, file: TextIO) -> Iterator[CaptionLine]:
    for number, ended in enumerate(file, start=1):
        line = ended.removesuffix("\n")
        if not line.strip():
            continue
        match = TOKEN_LINE.fullmatch(line)
        if match is None:
            raise DatasetError(
                f"{path}, line {number}: expected file#number<TAB>caption, found {line[:60]!r}. "
                "A file with a header should end in .csv or .tsv."
            )
        yield CaptionLine(plain_path(match["file"]), match["caption"])


def read_list(path: Path) -> Iterator[str]:
    """Read a split list, line by line: one file name a line.

    Raises:
        DatasetError: at once where the list is missing; while it is read where it is not UTF-8.
    """
    if not path.is_file():
        raise DatasetError(f"there is no split list {path}.")
    return _listed(path)


def _listed(path: Path) -> Iterator[str]:
    try:
        with open_text(path) as file:
            yield from (plain_path(name) for name in map(str.strip, file) if name)
    except UnicodeDecodeError as error:
        raise DatasetError(f"the split list {path} cannot be read as UTF-8: {why_no_text(path)}") from error
