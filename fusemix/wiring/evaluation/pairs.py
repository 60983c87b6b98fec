"""What each generated picture was drawn from, as a table says: a CSV, or the generated.json of `fusemix generate`.

Place in the flow: a table -> Pairs -> agreement.py embeds the queries.

A CSV has the columns file (a picture, as its path below the folder), modality (text, image, audio, or another that the
model knows) and query: a text, or the path of a file, where it does not begin with / below the folder of queries.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.disk.discarding import says
from fusemix.disk.files import read_json
from fusemix.errors import ConfigError, DamagedFileError, sentence_of
from fusemix.parts.registry import nearest
from fusemix.reports.drawn import FORMAT, VERSION
from fusemix.text_files import open_text, why_no_text

COLUMNS = ("file", "modality", "query")


class Term(NamedTuple):
    """A query, or one of several that are added up.

    Attributes:
        modality: of it.
        content: a text, or the path of a file.
        weight: by which it counts in a sum.
        sha256: of the file, where the table notes it.
    """

    modality: str
    content: str
    weight: float = 1.0
    sha256: str | None = None


Query = tuple[Term, ...]
"""One term, or a sum of several."""


class Pairs(NamedTuple):
    """Which picture was drawn from which query.

    Attributes:
        queries: all different.
        query_of: file of a picture -> number of its query.
    """

    queries: list[Query]
    query_of: dict[str, int]


def kind_of(query: Query) -> str:
    """Modalities of a query, for people."""
    return " + ".join(dict.fromkeys(term.modality for term in query))


def name_of(query: Query) -> str:
    """A query for people: a text, or the name of a file."""
    return " + ".join(term.content if term.modality == "text" else Path(term.content).name for term in query)


def listed_files(path: Path) -> list[str] | None:
    """The pictures that a generated.json names; None where it is another one."""
    return [str(one["file"]) for one in _drawn(path)["pictures"]] if says(path, FORMAT, VERSION) else None


def pairs_of(path: Path, queries: Path | None, files: Sequence[str]) -> Pairs:
    """Read a table.

    Args:
        path: of a CSV, or of a generated.json.
        queries: folder of the files of queries; None takes that of the table.
        files: all pictures, as paths below their folder.

    Raises:
        ConfigError: it cannot be read, is damaged, or names a picture that is not among them.
    """
    folder = queries or path.parent
    if not path.is_file():
        raise ConfigError(
            f"pairs: there is no {path}. Name a CSV with the columns file, modality and query by pairs=FILE, or leave "
            "out model."
        )
    rows = _rows_of_json(path, folder) if path.suffix.lower() == ".json" else _rows_of_csv(path, folder)
    known, numbers, query_of = set(files), {}, {}
    for where, file, query in rows:
        if file not in known:
            raise ConfigError(
                f"pairs: {path}, {where}, names {file!r}, which is not among the generated pictures."
                f"{nearest(file, sorted(known))}"
            )
        if query_of.setdefault(file, numbers.setdefault(query, len(numbers))) != numbers[query]:
            raise ConfigError(f"pairs: {path}, {where}, gives {file!r} another query than before.")
    if not query_of:
        raise ConfigError(f"pairs: {path} names no picture.")
    return Pairs(list(numbers), query_of)


def _rows_of_csv(path: Path, folder: Path) -> list[tuple[str, str, Query]]:
    try:
        with open_text(path) as file:
            table = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
                raise ConfigError(
                    f"pairs: {path} has no column {missing[0]!r}. Its first line must be: {','.join(COLUMNS)}"
                )
            return [(f"line {table.line_num}", *_of_row(row, path, table.line_num, folder)) for row in table]
    except UnicodeDecodeError as error:
        raise ConfigError(f"pairs: {path} cannot be read: {why_no_text(path)}") from error
    except (OSError, csv.Error) as error:
        raise ConfigError(f"pairs: {path} cannot be read as a CSV: {error}") from error


def _of_row(row: Mapping[str, str | None], path: Path, line: int, folder: Path) -> tuple[str, Query]:
    file, modality, query = ((row[name] or "").strip() for name in COLUMNS)
    if not (file and modality and query):
        empty = next(name for name, value in zip(COLUMNS, (file, modality, query), strict=True) if not value)
        raise ConfigError(f"pairs: {path}, line {line}, has nothing under {empty!r}.")
    return file, (Term(modality, query if modality == "text" else str(folder / Path(query).expanduser())),)


def _drawn(path: Path) -> Mapping[str, Any]:
    """Content of a generated.json.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        content = read_json(path)
        if not all(isinstance(one["file"], str) for one in content["pictures"]):
            raise TypeError("a picture's file is no text")
    except DamagedFileError as error:
        raise ConfigError(f"pairs: {error}") from error
    except OSError as error:
        raise ConfigError(f"pairs: {sentence_of(error)}") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(f"pairs: {path} is damaged: {error}. Draw again, or name a CSV by pairs=FILE.") from error
    return content


def _rows_of_json(path: Path, folder: Path) -> list[tuple[str, str, Query]]:
    """Pictures of one query stand together there, and as many of each."""
    if not says(path, FORMAT, VERSION):
        raise ConfigError(f"pairs: {path} is no list of pictures that were drawn. Name a CSV by pairs=FILE.")
    content = _drawn(path)
    try:
        queries = [tuple(_term(term, folder) for term in terms) for terms in content["settings"]["queries"]]
        pictures, num = content["pictures"], content["settings"]["num"]
        pairs = [(one["file"], queries[place // num]) for place, one in enumerate(pictures)]
    except (KeyError, TypeError, IndexError, ZeroDivisionError) as error:
        raise ConfigError(
            f"pairs: {path} does not say what each picture was drawn from ({error}). Name a CSV by pairs=FILE."
        ) from error
    there = [(file, query) for file, query in pairs if (path.parent / file).is_file()]
    return [("pictures", file, query) for file, query in there]


def _term(term: Mapping[str, Any], folder: Path) -> Term:
    content = str(term["content"]) if term["kind"] == "text" else str(folder / term["content"])
    return Term(term["kind"], content, float(term["weight"]), term.get("sha256"))
