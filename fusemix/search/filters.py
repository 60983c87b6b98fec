"""Filters: what people name of items, made out against the columns of an index -> a condition of the table's.

Place in the flow: a mapping, or words such as `taken=2023-05..2023-08` -> SQL that holds nothing but our own words,
quoted texts and numbers.
Not here: which modality is looked for, which is a setting of its own.

    {"folder": "2023/holidays"}                     this folder, and all below it
    {"camera": "Canon EOS 5D"}                      just this
    {"author": ["Ada", "Grace"]}                    one of these
    {"taken": "2023-05"}                            within the month; a year and a day likewise
    {"taken": {"from": "2023-05-01", "to": "2023-06"}, "rating": {"min": 3}}    ranges hold their ends
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from fusemix.errors import QueryError
from fusemix.parts.registry import nearest
from fusemix.search.table import ABOUT, STATE, VECTOR, WORDS, quoted

MOST_VALUES = 100
"""Values in one filter."""
FOLDER = "folder"
ENDS = {"text": (), "number": ("min", "max"), "date": ("from", "to"), "truth": ()}
"""How ranges name their ends, by what a column holds."""
DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
BELOW = re.compile(r"(/\*{0,2})?$")
"""What may follow the name of a folder, and says nothing more."""
RANGE = ".."


def columns_of(schema: pa.Schema) -> dict[str, str]:
    """Columns that an index may be filtered by -> text, number, date or truth."""
    others = (*ABOUT.names, *STATE.names, WORDS, VECTOR)
    fields = (field for field in schema if field.name not in others and not pa.types.is_binary(field.type))
    return {field.name: _kind(field.type) for field in fields}


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "date"
    if pa.types.is_boolean(kind):
        return "truth"
    return "text" if pa.types.is_string(kind) else "number"


def filter_of(words: Sequence[str]) -> dict[str, list[str]]:
    """Filters that are written as words, `name=value`; a name that stands twice has one of several values.

    Raises:
        QueryError: one is no filter.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise QueryError(f"the filter {word!r} is none. Write NAME=VALUE, such as camera=X100 or taken=2023-05.")
        found.setdefault(name.strip(), []).append(value.strip())
    return found


def words_of(given: Mapping[str, Any]) -> list[str]:
    """The same as words; see `filter_of`."""
    return [f"{name}={_word(value)}" for name, values in given.items() for value in _listed(values)]


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        ends = ("from", "to") if set(value) & {"from", "to"} else ("min", "max")
        return RANGE.join("" if value.get(end) is None else _word(value[end]) for end in ends)
    return str(value).lower() if isinstance(value, bool) else str(value)


def condition_of(given: Mapping[str, Any], schema: pa.Schema) -> str | None:
    """The condition that all filters together are; None where there is none.

    Args:
        given: name of a column -> a value, a list of which one must do, or a range.
        schema: of the index.

    Raises:
        QueryError: there is no such column, or it cannot hold such a value.
    """
    return " AND ".join(conditions_of(given, schema).values()) or None


def conditions_of(given: Mapping[str, Any], schema: pa.Schema) -> dict[str, str]:
    """Column -> the condition that its filter is; see `condition_of`."""
    known = columns_of(schema)
    return {name: _of_column(name, values, known) for name, values in given.items()}


def _of_column(name: str, given: Any, known: Mapping[str, str]) -> str:
    if name not in known:
        raise QueryError(_unknown(name, list(known)))
    values = _listed(given)
    if not 1 <= len(values) <= MOST_VALUES:
        raise QueryError(f"the filter {name} has {len(values):,} values, and not 1 to {MOST_VALUES}.")
    return f"({' OR '.join(_of_value(name, value, known[name]) for value in values)})"


def _unknown(name: str, known: list[str]) -> str:
    if name == "modality":
        return "modality is no filter, but a setting beside it: modality=image."
    return f"the index has no column {name[:80]!r} to filter by.{nearest(name, known)} Known: {', '.join(known)}."


def _of_value(name: str, value: Any, kind: str) -> str:
    if isinstance(value, Mapping):
        return _of_range(name, value, kind)
    if isinstance(value, str) and RANGE in value and ENDS[kind]:
        return _of_range(name, dict(zip(ENDS[kind], value.split(RANGE, 1), strict=True)), kind)
    if kind == "date":
        return _of_range(name, {"from": value, "to": value}, kind)
    if name == FOLDER:
        folder = BELOW.sub("", _text(name, value), count=1)
        below = f"`{name}` >= {quoted(folder + '/')} AND `{name}` < {quoted(folder + '0')}"  # 0 comes after /
        return f"`{name}` = {quoted(folder)} OR ({below})"
    return f"`{name}` = {_literal(name, value, kind)}"


def _of_range(name: str, given: Mapping[str, Any], kind: str) -> str:
    if not ENDS[kind] or not given or set(given) - set(ENDS[kind]):
        may = f"a range has {' and '.join(ENDS[kind])}" if ENDS[kind] else "it has no ranges"
        raise QueryError(f"the filter {name} has {', '.join(map(repr, given)) or 'nothing'}, but {may}.")
    low, high = (None if given.get(end) in (None, "") else given[end] for end in ENDS[kind])
    if low is None and high is None:
        raise QueryError(f"the filter {name} is a range without ends.")
    return " AND ".join(_bounds(name, low, high, kind))


def _bounds(name: str, low: Any, high: Any, kind: str) -> Iterator[str]:
    if low is not None:
        yield f"`{name}` >= {_moment(period(name, low)[0]) if kind == 'date' else _literal(name, low, kind)}"
    if high is not None and kind == "date":
        yield f"`{name}` < {_moment(period(name, high)[1])}"
    elif high is not None:
        yield f"`{name}` <= {_literal(name, high, kind)}"


def period(name: str, given: Any) -> tuple[datetime, datetime]:
    """When a year, a month or a day begins, and when the next one does.

    Args:
        name: of the filter, for the message.
        given: such as 2023, 2023-05 or 2023-05-14.

    Raises:
        QueryError: it is none.
    """
    found = DATE.fullmatch(str(given).strip())
    try:
        if not found or isinstance(given, bool):
            raise ValueError
        year, month, day = (int(part) if part else None for part in found.groups())
        begins = datetime(year or 0, month or 1, day or 1)
        if day:
            return begins, begins + timedelta(days=1)
        return begins, datetime(begins.year + (not month or month == 12), (month or 12) % 12 + 1, 1)
    except (ValueError, OverflowError):
        raise QueryError(
            f"the filter {name} has {str(given)[:80]!r}, which is no date. Write a year, a month or a day: 2023, "
            "2023-05, 2023-05-14, or a range of them: 2023-05..2023-08."
        ) from None


def _moment(when: datetime) -> str:
    return f"timestamp '{when.isoformat(' ')}'"


def _literal(name: str, value: Any, kind: str) -> str:
    if kind == "text":
        return quoted(_text(name, value))
    if kind == "truth":
        word = str(value).lower()
        if word not in ("true", "false"):
            raise QueryError(f"the filter {name} has {str(value)[:80]!r}, but the column holds true and false.")
        return word
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise QueryError(f"the filter {name} has {str(value)[:80]!r}, but the column holds numbers.")
    return repr(number)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QueryError(f"the filter {name} has {str(value)[:80]!r}, but the column holds texts.")
    return str(value).encode("utf-8", "replace").decode()


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]
