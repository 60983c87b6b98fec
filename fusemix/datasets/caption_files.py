"""Caption files in the layouts that people have: CSV, TSV, JSONL, Karpathy JSON, Flickr's token file.

Place in the flow: a caption file -> lines of (file, caption, split).
Not here: whether the files are there (captioned_files.py).
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.errors import DatasetError

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
TOKEN_LINE = re.compile(r"(?P<file>[^\t]+)#\d+\t(?P<caption>.*)")


class CaptionLine(NamedTuple):
    """One caption of one file; `split` only where the caption file names it."""

    file: str
    caption: str
    split: str | None = None


def read_captions(path: Path, *, file_column: str | None, caption_column: str | None) -> list[CaptionLine]:
    """Read a caption file whose layout follows from its ending.

    `.csv` and `.tsv` have a header; `.jsonl` holds one object a line; `.json` is Karpathy's
    layout; any other ending is Flickr's `file.jpg#0<TAB>caption`.

    Args:
        path: the caption file, UTF-8.
        file_column, caption_column: names of the columns; None looks for the usual ones
            (for captions also `caption_1`, `caption_2`, … as Clotho has them).

    Raises:
        DatasetError: the file is missing, empty or not in the layout that its ending promises.
    """
    if not path.is_file():
        raise DatasetError(f"there is no caption file {path}.")
    try:
        # "utf-8-sig" also reads plain UTF-8; spreadsheets put a byte order mark first.
        text = path.read_text(encoding="utf-8-sig")
        lines = list(_read(path, text, file_column, caption_column))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as {path.suffix or 'text'} in UTF-8: {error}") from error
    if not lines:
        raise DatasetError(f"{path} holds no caption.")
    return lines


def _read(path: Path, text: str, file_column: str | None, caption_column: str | None) -> Iterable[CaptionLine]:
    match path.suffix.lower():
        case ".csv" | ".tsv":
            separator = "," if path.suffix.lower() == ".csv" else "\t"
            return _from_rows(path, _table_rows(path, text, separator), file_column, caption_column)
        case ".jsonl":
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise DatasetError(f"{path}: every line must be a JSON object with a file and a caption.")
            return _from_rows(path, rows, file_column, caption_column)
        case ".json":
            return _from_karpathy(path, json.loads(text))
        case _:
            return _from_tokens(path, text)


def _table_rows(path: Path, text: str, separator: str) -> list[dict[str, Any]]:
    # Not splitlines(): a caption may hold U+2028 or U+0085, which end no row.
    rows: list[dict[Any, Any]] = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    for number, row in enumerate(rows, start=1):
        extra = row.pop(None, [])  # what the header has no name for
        if any(extra):
            raise DatasetError(
                f"{path}, row {number} after the header: it has more fields than the header, starting with "
                f"{extra[0]!r}. A caption that holds {separator!r} must stand in double quotes."
            )
    return rows


def _from_rows(
    path: Path, rows: Sequence[dict[str, Any]], file_column: str | None, caption_column: str | None
) -> Iterator[CaptionLine]:
    if not rows:
        return
    columns = [str(column) for column in rows[0]]
    file_key = _find(path, columns, "file", file_column, FILE_COLUMNS)
    numbered = [column for column in columns if NUMBERED.fullmatch(column)]
    if caption_column is None and numbered:
        caption_keys = numbered
    else:
        caption_keys = [_find(path, columns, "caption", caption_column, CAPTION_COLUMNS)]
    for row in rows:
        for key in caption_keys:
            value = row.get(key)
            # A file without any caption passes with an empty one, so that it is listed as left out.
            for caption in (value or [None]) if isinstance(value, list) else [value]:
                yield CaptionLine(str(row.get(file_key) or ""), str(caption or ""), row.get("split") or None)


def _find(path: Path, columns: list[str], what: str, wanted: str | None, usual: tuple[str, ...]) -> str:
    found = next((column for column in ([wanted] if wanted else usual) if column in columns), None)
    if found is None:
        asked = f"no column {wanted!r}" if wanted else f"none of the usual columns for the {what}"
        raise DatasetError(
            f"{path} has {asked}. It has: {', '.join(columns)}. Name one as dataset.options.{what}_column=…"
        )
    return found


def _from_karpathy(path: Path, data: Any) -> Iterator[CaptionLine]:
    if not isinstance(data, dict) or "images" not in data:
        raise DatasetError(f"{path} is not in Karpathy's layout: it has no list 'images'.")
    for image in data["images"]:
        try:
            # COCO keeps its two folders apart in "filepath"; Flickr has none.
            file = "/".join(part for part in (image.get("filepath"), image["filename"]) if part)
            captions = [sentence["raw"] for sentence in image["sentences"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path}: an entry of 'images' is not in Karpathy's layout, which has 'filename' and 'sentences' with "
                f"'raw' each: {str(image)[:100]}"
            ) from error
        for caption in captions or [""]:
            yield CaptionLine(file, caption, image.get("split"))


def _from_tokens(path: Path, text: str) -> Iterator[CaptionLine]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        match = TOKEN_LINE.fullmatch(line.rstrip("\r"))
        if match is None:
            raise DatasetError(
                f"{path}, line {number}: expected file#number<TAB>caption, found {line[:60]!r}. "
                "A file with a header should end in .csv or .tsv."
            )
        yield CaptionLine(match["file"], match["caption"])


def read_list(path: Path) -> list[str]:
    """Read a split list: one file name a line.

    Raises:
        DatasetError: the list is missing, or is not UTF-8.
    """
    if not path.is_file():
        raise DatasetError(f"there is no split list {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"the split list {path} cannot be read as UTF-8: {error}") from error
    return [line.strip() for line in text.split("\n") if line.strip()]
