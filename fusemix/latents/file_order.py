"""In which order the files of a folder hold their rows: that of the numbers in their names.

Place in the flow: a folder that another tool wrote -> its files in order, for foreign.py and embeddings_folder.py.

Tools number their files with zeros in front or without. As text, 10.npy comes before 2.npy, and rows would be given to
the wrong items without a word.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from fusemix.disk.system_names import is_system_name
from fusemix.errors import LatentStoreError

DIGITS = re.compile(r"([0-9]+)")


def files_in_order(folder: Path, ending: str) -> list[Path]:
    """The files of an ending in a folder, by the numbers in their names; hidden ones are no data.

    Raises:
        LatentStoreError: names are of several kinds, so that by number and by text they stand in different orders; or
            two have the same number.
    """
    files = sorted(path for path in folder.glob(f"*{ending}") if not is_system_name(path.name))
    by_number = sorted(files, key=lambda path: _parts(path.stem))
    kinds = {DIGITS.sub("#", path.stem) for path in files}
    if by_number != files and len(kinds) > 1:
        one, other = next((a, b) for a, b in zip(files, by_number, strict=True) if a != b)
        raise LatentStoreError(
            f"{folder} holds {len(files):,} files that are named in several ways, such as {one.name} and {other.name}, "
            "so the order of their rows is not known. Give a folder of files that one tool has numbered."
        )
    for path, later in pairwise(by_number):
        if _parts(path.stem) == _parts(later.stem):
            raise LatentStoreError(
                f"{folder}: {path.name} and {later.name} have the same number. Which one comes first?"
            )
    return by_number


def last_numbers(files: Sequence[Path]) -> list[int | None]:
    """The last number in the name of each file; None where there is none."""
    numbers = [DIGITS.findall(path.stem) for path in files]
    return [int(found[-1]) if found else None for found in numbers]


def _parts(stem: str) -> list[tuple[str, int]]:
    """Text and the number behind it, again and again, so that names compare by both."""
    texts = DIGITS.split(stem)
    return [(text, int(number)) for text, number in zip(texts[::2], [*texts[1::2], -1], strict=True)]
