"""The elements of a list in a JSON file, one at a time: some annotation files are too large to hold.

Place in the flow: a JSON file -> plain values, as its data set reads them.
"""

import shlex
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from fusemix.errors import DatasetError, first_line
from fusemix.text_files import encoding_of, why_no_text


def stream_list(path: Path, place: str = "") -> Iterator[Any]:
    """Read the elements of a list.

    Args:
        path: the JSON file.
        place: key of the list in the file's object; empty where the file is a list itself.

    Raises:
        DatasetError: when the reading gets there: the file is no JSON or breaks off, or there is no such list or an
            empty one.
    """
    found = False
    with path.open("rb") as file:
        start = file.read(4)
        encoding = encoding_of(start)
        if encoding != "utf-8-sig":
            conversion = f"iconv -f {encoding} -t utf-8 {shlex.quote(str(path))} > …"
            raise DatasetError(f"{path} is in {encoding.upper()}, and is read in UTF-8 alone. Convert it: {conversion}")
        file.seek(len(BOM_UTF8) if start.startswith(BOM_UTF8) else 0)
        try:
            for element in ijson.items(file, f"{place}.item" if place else "item", use_float=True):
                found = True
                yield element
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path} cannot be read as JSON in UTF-8: {why_no_text(path)}") from error
        except ijson.JSONError as error:
            reason = first_line(error)
            raise DatasetError(f"{path} cannot be read as JSON: {reason}. Download it again.") from error
    if not found:
        raise DatasetError(f"{path} holds no {f'list {place!r}' if place else 'list'}, or an empty one.")
