"""CSV and TSV with a header, read so that no row is lost to a stray double quote.

Place in the flow: lines of a table -> rows by column, with their line numbers -> caption_files.py, audiocaps.py.

CSV is read as writers of CSV write it. A field that takes in whole rows of the table, since a quote is not closed, is
refused; where text follows a quote that ends a field, the quotes of that row are letters. TSV comes from csv writers,
which put double quotes around some cells, as well as from tools that know no quoting at all. So a cell loses its quotes
only where they stand around all of it, with those within doubled; any other quote is a letter.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fusemix.errors import DatasetError

SEPARATORS = (",", ";", "\t")
"""Spreadsheets write semicolons where a comma is the decimal mark."""
QUOTED = {mark: re.compile(rf'"([^"]*(?:""[^"]*)*)"(?:{mark}|\Z)') for mark in SEPARATORS}
MOST_LINES = 64
"""Lines that a quoted cell of a TSV may have."""
FILE_NAME = re.compile(
    r"[^/].*\.(jpe?g|png|webp|bmp|gif|tiff?|avif|hei[cf]|hif|jp2|wav|flac|og[ga]|opus|mp3|m4a|aiff?|au|webm|npy)",
    re.IGNORECASE,
)
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def separator_of(header: str, usual: str, is_wanted: Callable[[list[str]], bool]) -> str:
    """What separates the columns: what the file's ending says, unless another mark alone gives the columns wanted.

    Args:
        header: first line of the table.
        usual: of SEPARATORS, the one that the ending says.
        is_wanted: whether some names are those of the columns that are needed.
    """
    marks = [usual, *(mark for mark in SEPARATORS if mark != usual)]
    return next((mark for mark in marks if is_wanted(columns_of(header, mark))), usual)


def columns_of(header: str, separator: str) -> list[str]:
    """Names of the columns in the first line of a table."""
    return _cells(header.removesuffix("\n"), separator)


def table_rows(path: Path, lines: Iterable[str], separator: str) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Rows of a table: the number of the line where each begins, and column -> cell.

    Where a row is shorter than the header, the other cells are None; what the header has no name for is a list under
    the key None.

    Args:
        path: of the table, for messages.
        lines: of the file, each with its end.
        separator: one of SEPARATORS.

    Raises:
        DatasetError: two columns have one name, or a field takes in rows of the table.
    """
    records = _tsv_records(lines) if separator == "\t" else _csv_records(path, lines, separator)
    _, header = next(records, (1, []))
    _require_different(path, header)
    width = len(header)
    for line, cells in records:
        if not cells:
            continue
        row: dict[Any, Any] = dict(zip(header, cells, strict=False))
        if len(cells) < width:
            row.update(dict.fromkeys(header[len(cells) :]))
        elif len(cells) > width:
            row[None] = cells[width:]
        yield line, row


def _require_different(path: Path, header: list[str]) -> None:
    names = [name.strip() for name in header if name.strip()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(
            f"{path}, line 1: two columns are called {twice!r}, so it cannot be known which one is meant. Give each "
            "its own name, such as caption_1 and caption_2, which are read together."
        )


def _csv_records(path: Path, lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    kept: list[str] = []  # the lines of the row that is being read

    def remembered() -> Iterator[str]:
        for line in lines:
            kept.append(line)
            yield line

    reader = csv.reader(remembered(), delimiter=separator, strict=True)
    shape: list[str] | None = None
    width = 0
    while True:
        kept.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if str(error).startswith("field larger"):
                raise
            cells = _with_quotes_as_letters(path, reader.line_num, kept, width, separator)
        if cells is None:
            return
        first = reader.line_num - len(kept) + 1
        if len(kept) > 1:
            _refuse_swallowed(path, first, cells, shape or [], separator)
        if width and shape is None:
            shape = [_shape(cell) for cell in cells]
        width = width or len(cells)
        yield first, cells


def _with_quotes_as_letters(path: Path, last: int, lines: list[str], width: int, separator: str) -> list[str]:
    """Cells of a row whose quotes are not those of a CSV, if it is one line and has as many as the header."""
    if len(lines) > 1:
        raise _takes_in_rows(path, last - len(lines) + 1, lines[1])
    cells = _cells(lines[0].removesuffix("\n"), separator)
    if width and len(cells) != width:
        raise DatasetError(
            f"{path}, line {last}: text follows a double quote that ends a field: {lines[0].strip()[:60]!r}. A caption "
            f"that holds {'commas' if separator == ',' else 'semicolons'} must stand in double quotes, with its own "
            f'doubled: "the ""big""{separator} red dog".'
        )
    return cells


def _refuse_swallowed(path: Path, first: int, cells: list[str], shape: list[str], separator: str) -> None:
    """Refuse a row of several lines if a cell of it holds a row of the table."""
    within = (line for cell in cells if "\n" in cell for line in cell.split("\n"))
    swallowed = next((line for line in within if _is_row(line, shape, separator)), None)
    if swallowed is not None:
        raise _takes_in_rows(path, first, swallowed)


def _takes_in_rows(path: Path, first: int, line: str) -> DatasetError:
    return DatasetError(
        f"{path}, line {first}: a double quote is opened and takes in the lines behind it, such as "
        f"{line.strip()[:60]!r}. A caption that begins with a double quote must stand in quotes itself, with its "
        'own doubled: """stop"" sign". A .tsv needs no quoting.'
    )


def _is_row(line: str, shape: list[str], separator: str) -> bool:
    cells = next(csv.reader([line], delimiter=separator), [])
    if len(cells) > 1 and any(_shape(cell) == "file" for cell in cells):
        return True
    marks = [(own, _shape(cell)) for own, cell in zip(shape, cells, strict=False) if own]
    return len(cells) == len(shape) and bool(marks) and all(own == found for own, found in marks)


def _shape(cell: str) -> str:
    """Whether a cell holds a file's name or a number; empty for any other."""
    shown = cell.strip().strip('"')
    return "file" if FILE_NAME.fullmatch(shown) else "number" if NUMBER.fullmatch(shown) else ""


def _tsv_records(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    source = _Lines(lines)
    width = 0
    while (line := source.take()) is not None:
        first = source.number
        has_quoted = line.startswith('"') or '\t"' in line
        cells = _cells(line, "\t", source) if has_quoted else line.split("\t")
        if width and len(cells) != width and len(plain := line.split("\t")) == width and source.number == first:
            cells = plain  # the quotes belong to two cells
        width = width or len(cells)
        yield first, cells if line else []


class _Lines:
    """Lines without their ends, some of which may be looked at before they are taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = (line.removesuffix("\n") for line in lines)
        self._ahead: list[str] = []
        self.number = 0

    def take(self) -> str | None:
        """The next line; None at the end."""
        line = self._ahead.pop(0) if self._ahead else next(self._lines, None)
        self.number += line is not None
        return line

    def ahead(self) -> Iterator[str]:
        """The next lines, which stay to be taken."""
        yield from self._ahead[:MOST_LINES]
        for line in islice(self._lines, max(0, MOST_LINES - len(self._ahead))):
            self._ahead.append(line)
            yield line


def _cells(line: str, separator: str, source: _Lines | None = None) -> list[str]:
    cells: list[str] = []
    rest: str | None = line
    while rest is not None:
        is_quoted = rest.startswith('"')
        found = QUOTED[separator].match(rest) if is_quoted else None
        if source and is_quoted and not found:
            rest, found = _with_further_lines(rest, source)
        if found:
            cells.append(found[1].replace('""', '"'))
            rest = rest[found.end() :] if found[0].endswith(separator) else None
        else:
            cell, ended, behind = rest.partition(separator)
            cells.append(cell)
            rest = behind if ended else None
    return cells


def _with_further_lines(rest: str, source: _Lines) -> tuple[str, re.Match[str] | None]:
    """A cell whose quote is closed in a later line, before any tab; otherwise the quote is a letter."""
    joined = rest
    for count, line in enumerate(source.ahead() if "\t" not in rest else (), start=1):
        joined = f"{joined}\n{line}"
        found = QUOTED["\t"].match(joined)
        if found and "\t" not in found[1]:
            for _ in range(count):
                source.take()
            return joined, found
        if "\t" in line:
            break
    return rest, None
