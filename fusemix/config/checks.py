"""What several settings are checked for, beside the ranges of ranges.py.

Place in the flow: a value and its key -> nothing, or a ConfigError.
"""

from collections.abc import Sequence

from fusemix.errors import ConfigError
from fusemix.parts.ranges import within

MOST_PROCESSES = 1024
"""Of one machine, and machines of one run: more are a slip of the hand."""
MOST_ITEMS = 1_000_000_000
"""In one pass, in one file."""
MOST_FACTOR = 1e6
"""Of a weight or a ridge: above, nothing else would count."""
MOST_WAIT = 366 * 86_400
"""Seconds: a year."""
MOST_SEED = 2**32 - 1
"""NumPy and Lightning take no larger one."""


def require_folder_name(key: str, name: str) -> None:
    """Refuse a name of the user's that cannot become a folder."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ConfigError(f"{key}: a name becomes a folder; use letters, digits, '-', '_' and '.'.")


def require_one_folder(key: str, name: str) -> None:
    """Refuse a word that becomes a folder and is none, or is several."""
    if name.strip() in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise ConfigError(f"{key}: {name!r} becomes a folder, so it must be a word without '/'.")


def or_auto(key: str, value: int | float | str, least: int | float, most: int | float) -> None:
    """Refuse what is neither a number in its range nor `auto`."""
    if not isinstance(value, str):
        within(key, value, least, most)
    elif value != "auto":
        raise ConfigError(f"{key} is {value!r}, but must be {_number(least)} or auto.")


def _number(like: int | float) -> str:
    return "a whole number" if isinstance(like, int) else "a number"


def distinct(key: str, values: Sequence[int | str]) -> None:
    """Refuse a list that says something twice."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ConfigError(f"{key} holds {value!r} twice.")
