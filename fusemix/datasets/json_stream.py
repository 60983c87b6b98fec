"""The elements of a list in a JSON file, one at a time: some annotation files are too large to hold.

Place in the flow: a JSON file -> plain values, as its data set reads them.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from fusemix.errors import DatasetError, first_line


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
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        try:
            for element in ijson.items(file, f"{place}.item" if place else "item", use_float=True):
                found = True
                yield element
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = first_line(error)
            raise DatasetError(f"{path} cannot be read as JSON: {reason}. Download it again.") from error
    if not found:
        raise DatasetError(f"{path} holds no {f'list {place!r}' if place else 'list'}, or an empty one.")
