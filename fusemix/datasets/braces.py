"""Tars that a pattern names, as WebDataset writes it: `{00000..00099}.tar`.

Place in the flow: the last part of a path or URL -> names.
"""

import re
from collections.abc import Iterator

from fusemix.errors import DatasetError

BRACES = re.compile(r"\{([^{}]*)\}")
NUMBERS = re.compile(r"(\d+)\.\.(\d+)")
MOST = 1_000_000


def is_pattern(name: str) -> bool:
    """Whether a name stands for several tars."""
    return name.lower().endswith(".tar") and BRACES.search(name) is not None


def expanded(pattern: str) -> list[str]:
    """The names that a pattern stands for, in order.

    >>> expanded("{8..10}.tar"), expanded("{008..010}.tar"), expanded("{a,b}-{0..1}.tar")
    (['8.tar', '9.tar', '10.tar'], ['008.tar', '009.tar', '010.tar'], ['a-0.tar', 'a-1.tar', 'b-0.tar', 'b-1.tar'])

    Raises:
        DatasetError: it stands for more than a million.
    """
    names = []
    for name in _expanded(pattern):
        names.append(name)
        if len(names) > MOST:
            raise DatasetError(f"{pattern} stands for more than {MOST:,} tars. Give the folder that they lie in.")
    return names


def _expanded(pattern: str) -> Iterator[str]:
    found = BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    numbers = NUMBERS.fullmatch(found[1])
    for word in _numbers(*numbers.groups()) if numbers else found[1].split(","):
        for rest in _expanded(pattern[found.end() :]):
            yield f"{pattern[: found.start()]}{word}{rest}"


def _numbers(first: str, last: str) -> Iterator[str]:
    is_padded = any(len(number) > 1 and number.startswith("0") for number in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    return (str(number).zfill(width) for number in range(int(first), int(last) + 1))
