"""Values of an index that are worth choosing among, each with the number of items that have it.

Place in the flow: the columns of a table that are filtered by -> Facets, for people.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fusemix.search.filters import FOLDER, columns_of

MOST_SHOWN = 12
"""Values of a column that are named."""
MOST_DISTINCT = 1_000
"""Of a column with more, no values are named."""
MOST_OWN = 8
"""Columns of caption files that are named."""
ALWAYS = (FOLDER, "taken", "camera")
"""Columns of which the most frequent values are named, however many there are."""


class Facet(NamedTuple):
    """A column, and its most frequent values.

    Attributes:
        name: of the column.
        kind: of its values: text, number, date or truth.
        values: (as a filter takes it, number of items), the most frequent first; years the newest first.
    """

    name: str
    kind: str
    values: list[tuple[str, int]]


def facets_of(table: Any) -> list[Facet]:
    """What an index may be filtered by, as far as it has different values.

    Args:
        table: of the index; its columns are read once, but for vectors.
    """
    kinds = columns_of(table.schema)
    counts: dict[str, Counter[Any]] = {name: Counter() for name in kinds}
    for batch in table.search().select(list(kinds)).to_batches() if kinds else ():
        for name, counter in list(counts.items()):
            counter.update(_counted(batch[name], kinds[name]))
            if len(counter) > MOST_DISTINCT and name not in ALWAYS:
                del counts[name]
    size = table.count_rows()
    if FOLDER in counts:
        counts[FOLDER] = top_folders(counts[FOLDER])
    found = [Facet(name, kinds[name], _shown(counter, kinds[name])) for name, counter in counts.items()]
    told = [facet for facet in found if facet.values and (len(facet.values) > 1 or facet.values[0][1] < size)]
    own = [facet for facet in told if facet.name not in ALWAYS and len(counts[facet.name]) <= MOST_SHOWN]
    return [*(facet for facet in told if facet.name in ALWAYS), *own[:MOST_OWN]]


def _counted(column: pa.Array, kind: str) -> dict[Any, int]:
    if kind == "date":
        column = pc.call_function("year", [column])
    counted = pc.call_function("value_counts", [column])
    return {one["values"]: one["counts"] for one in counted.to_pylist() if one["values"] is not None}


def top_folders(counts: Mapping[str, int]) -> Counter[str]:
    """Folders right below the one that all items lie in, each with what lies in it and below.

    Args:
        counts: folder -> items right in it.
    """
    parts = {folder: folder.split("/") if folder else [] for folder in counts}
    first, last = min(parts.values(), default=[]), max(parts.values(), default=[])
    depth = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(first, last, strict=False)))
    found: Counter[str] = Counter()
    for folder, count in counts.items():
        if len(parts[folder]) > depth:
            found["/".join(parts[folder][: depth + 1])] += count
    return found


def _shown(counter: Counter[Any], kind: str) -> list[tuple[str, int]]:
    most = sorted(counter.items(), key=lambda one: (-one[1], str(one[0])))[:MOST_SHOWN]
    return sorted(_words(most), reverse=True) if kind == "date" else list(_words(most))


def _words(values: list[tuple[Any, int]]) -> Iterator[tuple[str, int]]:
    for value, count in values:
        if value == "":
            continue
        if isinstance(value, bool):
            yield str(value).lower(), count
        else:
            yield str(int(value)) if isinstance(value, float) and value.is_integer() else str(value), count
