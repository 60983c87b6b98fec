"""Values of an index that are worth choosing among, each with the number of items that have it.

Place in the flow: the columns of a table that are filtered by -> Facets, for people.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

from fusemix.search.filters import FOLDER, columns_of

MOST_SHOWN = 12
"""Values of a column that are named."""
MOST_DISTINCT = 1_000
"""Of a column with more, no values are named."""
MOST_OWN = 8
"""Columns of caption files that are named."""
ALWAYS = (FOLDER, "taken", "camera")
"""Columns of which the most frequent values are named, however many there are."""


VALUE, HOLDS = "value_", "holds_"
"""With which columns begin that are read: of the table, and of conditions."""
AT_ONCE = 65_536
"""Rows that are read at once; the batches that a table gives by itself are small and slow."""


class Facet(NamedTuple):
    """A column, and its most frequent values.

    Attributes:
        name: of the column.
        kind: of its values: text, number, date or truth.
        values: (as a filter takes it, number of items left), the most frequent first; years the newest first.
    """

    name: str
    kind: str
    values: list[tuple[str, int]]


def facets_of(table: Any, conditions: Mapping[str, str] | None = None, where: str | None = None) -> list[Facet]:
    """What an index may be filtered by, as far as it has different values, each with the items that have it.

    Which columns these are does not depend on what is chosen already; values that no item is left with are not named.

    Args:
        table: of the index; its columns are read once, but for vectors.
        conditions: column -> condition of the filter that is chosen; values of a column are counted among the items
            that the filters of all others let through.
        where: what must hold of the items besides.
    """
    kinds, conditions = columns_of(table.schema), conditions or {}
    every: dict[str, Counter[Any]] = {name: Counter() for name in kinds}
    left: dict[str, Counter[Any]] = {name: Counter() for name in kinds}
    for batch in _read(table, kinds, conditions, where) if kinds else ():
        for name in list(every):
            passes = _passing(batch, [other for other in (*conditions, "") if other != name])
            for value, count, count_left in _counted(batch[f"{VALUE}{name}"], kinds[name], passes):
                every[name][value] += count
                left[name][value] += count_left
            if len(every[name]) > MOST_DISTINCT and name not in ALWAYS:
                del every[name]
    size = table.count_rows()
    if FOLDER in every:
        folders = every[FOLDER]
        every[FOLDER], left[FOLDER] = (top_folders(counts, folders) for counts in (folders, left[FOLDER]))
    told = [name for name, counter in every.items() if _is_choice(_shown(counter, kinds[name]), size)]
    own = [name for name in told if name not in ALWAYS and len(every[name]) <= MOST_SHOWN]
    named = [*(name for name in told if name in ALWAYS), *own[:MOST_OWN]]
    return [Facet(name, kinds[name], _shown(left[name], kinds[name])) for name in named]


def _is_choice(values: list[tuple[str, int]], size: int) -> bool:
    return bool(values) and (len(values) > 1 or values[0][1] < size)


def _read(table: Any, names: Iterable[str], conditions: Mapping[str, str], where: str | None) -> Iterator[Any]:
    """Batches with all columns, and for each condition whether it holds; that of no column is `where`."""
    every = {**conditions, "": where or "true"}
    asked = {
        **{f"{VALUE}{name}": f"`{name}`" for name in names},
        **{f"{HOLDS}{name}": sql for name, sql in every.items()},
    }
    yield from table.search().select(asked).to_batches(batch_size=AT_ONCE)


def _passing(batch: pa.RecordBatch, names: Sequence[str]) -> Bool[np.ndarray, " rows"]:
    """Rows for which some of the conditions hold; one that is null does not."""
    held = [batch[f"{HOLDS}{name}"].fill_null(False).to_numpy(zero_copy_only=False) for name in names]
    return np.logical_and.reduce(held)


def _counted(column: pa.Array, kind: str, passes: Bool[np.ndarray, " rows"]) -> Iterator[tuple[Any, int, int]]:
    """Values of a column, each with the number of rows that have it, and that of those of them that pass."""
    if kind == "date":
        column = pc.call_function("year", [column])
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    places = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    counts = [np.bincount(some, minlength=len(values)).tolist() for some in (places, places[passes])]
    yield from zip(values, *counts, strict=False)  # nulls are counted last, and have no value


def top_folders(counts: Mapping[str, int], among: Iterable[str] | None = None) -> Counter[str]:
    """Folders right below the one that all items lie in, each with what lies in it and below.

    Args:
        counts: folder -> items right in it.
        among: folders of all items; None: those of `counts`.
    """
    parts = [folder.split("/") if folder else [] for folder in (counts if among is None else among)]
    first, last = min(parts, default=[]), max(parts, default=[])
    depth = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(first, last, strict=False)))
    found: Counter[str] = Counter()
    for folder, count in counts.items():
        below = folder.split("/") if folder else []
        if len(below) > depth:
            found["/".join(below[: depth + 1])] += count
    return found


def _shown(counter: Counter[Any], kind: str) -> list[tuple[str, int]]:
    most = sorted((+counter).items(), key=lambda one: (-one[1], str(one[0])))[:MOST_SHOWN]
    return sorted(_words(most), reverse=True) if kind == "date" else list(_words(most))


def _words(values: list[tuple[Any, int]]) -> Iterator[tuple[str, int]]:
    for value, count in values:
        if value == "":
            continue
        if isinstance(value, bool):
            yield str(value).lower(), count
        else:
            yield str(int(value)) if isinstance(value, float) and value.is_integer() else str(value), count
