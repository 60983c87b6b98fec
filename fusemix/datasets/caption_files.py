"""Caption files in the layouts that people have: CSV, TSV, JSONL, Karpathy JSON, Flickr's token file.

Place in the flow: a caption file -> lines of (file, caption, split).
Not here: whether the files are there (captioned_files.py).
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

from fusemix.datasets.given_values import captions_in, name_in, plain_path, split_in, unique_pairs
from fusemix.datasets.tables import table_rows
from fusemix.errors import DatasetError

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


class CaptionLine(NamedTuple):
    """One caption of one file; `split` only where the caption file names it."""

    file: str
    caption: str
    split: str | None = None


def read_captions(path: Path, *, file_column: str | None, caption_column: str | None) -> Iterator[CaptionLine]:
    """Read a caption file whose layout follows from its ending, line by line.

    `.csv` and `.tsv` have a header; `.jsonl` holds one object a line; `.json` is Karpathy's
    layout, which is read whole; any other ending is Flickr's `file.jpg#0<TAB>caption`.

    Args:
        path: the caption file, UTF-8.
        file_column, caption_column: names of the columns; None looks for the usual ones
            (for captions also `caption_1`, `caption_2`, … as Clotho has them).

    Raises:
        DatasetError: at once where the file is missing; while it is read where it is empty or not in the layout
            that its ending promises.
    """
    if not path.is_file():
        raise DatasetError(f"there is no caption file {path}.")
    return _stream(path, file_column, caption_column)


def _stream(path: Path, file_column: str | None, caption_column: str | None) -> Iterator[CaptionLine]:
    line = None
    try:
        # "utf-8-sig" also reads plain UTF-8; spreadsheets put a byte order mark first.
        with path.open(encoding="utf-8-sig") as file:
            for line in _read(path, file, file_column, caption_column):
                yield line
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as {path.suffix or 'text'} in UTF-8: {error}") from error
    if line is None:
        raise DatasetError(f"{path} holds no caption.")


def _read(path: Path, file: TextIO, file_column: str | None, caption_column: str | None) -> Iterator[CaptionLine]:
    # A file gives lines that end in \n alone, whatever ended them; U+2028 and U+0085, which a caption may hold, do not.
    match path.suffix.lower():
        case ".csv" | ".tsv":
            separator = "," if path.suffix.lower() == ".csv" else "\t"
            return _from_rows(path, _table_rows(path, file, separator), file_column, caption_column)
        case ".jsonl":
            return _from_rows(path, _json_rows(path, file), file_column, caption_column)
        case ".json":
            return _from_karpathy(path, _json(path, file))
        case _:
            return _from_tokens(path, file)


def _json(path: Path, file: TextIO) -> Any:
    try:
        return json.load(file, object_pairs_hook=unique_pairs)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise DatasetError(f"{path}: {error}, so it cannot be known what is meant.") from error


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


def _table_rows(path: Path, file: TextIO, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
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
    for number, row in chain([first], rows):
        file, split = row.get(file_key), row.get("split")
        if not isinstance(file, str):
            file = _value(name_in, file, "file", path, number, "file")
        if split is not None:
            split = _value(split_in, split, "split", path, number, None)
        for key in caption_keys:
            caption = row.get(key)
            if isinstance(caption, str) and caption[:1] not in MAY_BEGIN_A_LIST:
                yield CaptionLine(plain_path(file), caption, split)
                continue
            # A file without any caption passes with an empty one, so that it is listed as left out.
            for each in _value(captions_in, caption, "caption", path, number, "caption") or [""]:
                yield CaptionLine(plain_path(file), each, split)


def _value(read: Callable[[Any], Value], value: Any, what: str, path: Path, line: int, option: str | None) -> Value:
    """What `read` makes of a value.

    Raises:
        DatasetError: it makes nothing of it; says in which line.
    """
    try:
        return read(value)
    except ValueError as error:
        mend = f", or name another column as dataset.options.{option}_column=…" if option else ""
        raise DatasetError(
            f"{path}, line {line}: the {what} is {error}, and must be text. Put it in quotes{mend}."
        ) from error


def _find(path: Path, columns: list[str], what: str, wanted: str | None, usual: tuple[str, ...]) -> str:
    found = next((column for column in ([wanted] if wanted else usual) if column in columns), None)
    if found is None:
        asked = f"no column {wanted!r}" if wanted else f"none of the usual columns for the {what}"
        raise DatasetError(
            f"{path} has {asked}. It has: {', '.join(columns)}. Name one as dataset.options.{what}_column=…"
        )
    return found


def _from_karpathy(path: Path, data: Any) -> Iterator[CaptionLine]:
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise DatasetError(f"{path} is not in Karpathy's layout: it has no list 'images'.")
    for image in data["images"]:
        try:
            # COCO keeps its two folders apart in "filepath"; Flickr has none.
            file = "/".join(part for part in (name_in(image.get("filepath")), name_in(image["filename"])) if part)
            captions = [caption for sentence in image["sentences"] for caption in captions_in(sentence["raw"])]
            split = split_in(image.get("split"))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DatasetError(
                f"{path}: an entry of 'images' is not in Karpathy's layout, which has 'filename' and 'sentences' with "
                f"'raw' each: {str(image)[:100]}"
            ) from error
        for caption in captions or [""]:
            yield CaptionLine(plain_path(file) if name_in(image["filename"]) else "", caption, split)


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
        with path.open(encoding="utf-8-sig") as file:
            yield from (plain_path(name) for name in map(str.strip, file) if name)
    except UnicodeDecodeError as error:
        raise DatasetError(f"the split list {path} cannot be read as UTF-8: {error}") from error
