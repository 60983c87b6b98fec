"""What an index is at a time: what its table finds and counts, as long as neither it nor index.json changes.

Place in the flow: Description and table -> State -> Index, which opens another where these have changed.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from fusemix.search.description import Description
from fusemix.search.facets import Facet, facets_of
from fusemix.search.flat import Best, Flat, read_flat
from fusemix.search.table import ROW, VECTOR

FLAT_BELOW = 100_000
"""Fewer items are compared one by one; see tuning.py."""
MOST_FLAT = 2 * FLAT_BELOW
"""Items whose vectors are kept in memory, where a killed command has left more than it would have sorted into lists."""
MOST_COUNTS, MOST_FACETS, MOST_PASSING = 256, 32, 32
"""Filters whose counts are kept, those of which it is kept how many items each further value would leave, and those of
which it is kept what passes."""
DISTANCE = "_distance"


class State(NamedTuple):
    """An index at a time.

    Attributes:
        written: which index.json it is.
        description: what that says.
        table: of the items; sees what others commit to it.
        counted: version of the table, and filters -> items.
        listed: the same -> what items may be filtered by besides.
        flat: version of the table -> its vectors, of a small index; of the last version alone.
        passed: version of the table, and filter -> items of these that pass.
    """

    written: tuple[int, int]
    description: Description
    table: Any
    counted: dict[tuple[int, str], int]
    listed: dict[tuple[Any, ...], list[Facet]]
    flat: dict[int, Flat]
    passed: dict[tuple[int, str], Bool[np.ndarray, " items"]]

    def count(self, where: str) -> int:
        """Items that a filter lets through; counted again where the table has changed."""
        asked = int(self.table.version), where
        if asked not in self.counted:
            if len(self.counted) >= MOST_COUNTS:
                self.counted.clear()
            self.counted[asked] = self.table.count_rows(where)
        return self.counted[asked]

    def facets(self, conditions: Mapping[str, str], where: str | None) -> list[Facet]:
        """What items may be filtered by, see `facets_of`; read again where the table has changed."""
        asked = (int(self.table.version), *conditions.items(), where)
        if asked not in self.listed:
            if len(self.listed) >= MOST_FACETS:
                self.listed.clear()
            self.listed[asked] = facets_of(self.table, conditions, where)
        return self.listed[asked]

    def best(self, queries: Float32[np.ndarray, "queries width"], k: int, where: str | None) -> list[Best]:
        """The best items of each query."""
        if self.description.depths or self.table.count_rows() > MOST_FLAT:
            return [_nearest(self, query, k, where) for query in queries]
        version, flat = self._flat()
        passing = None if where is None else self._passing(version, flat, where)
        return list(flat.best(queries, k, passing))

    def _flat(self) -> tuple[int, Flat]:
        """All vectors, read again where the table has changed, and of which version they are."""
        version = int(self.table.version)
        found = self.flat.get(version)
        if found is None:
            self.flat.clear()
            found = self.flat[version] = read_flat(self.table)
        return version, found

    def _passing(self, version: int, flat: Flat, where: str) -> Bool[np.ndarray, " items"]:
        if (found := self.passed.get((version, where))) is None:
            if len(self.passed) >= MOST_PASSING:
                self.passed.clear()
            found = self.passed[version, where] = flat.passing(self.table, where)
        return found


def _nearest(state: State, query: Float32[np.ndarray, " width"], k: int, where: str | None) -> Best:
    """The best items of one query, as the table finds them."""
    asked = state.table.search(query, vector_column_name=VECTOR).distance_type("dot").limit(k)
    asked = asked.select([DISTANCE]).with_row_id(True)
    if where is not None:
        asked = asked.where(where, prefilter=True)
    if depth := state.description.depth(k):
        share = 1.0 if where is None else state.count(where) / max(1, state.description.num_tuned)
        if share * state.description.num_tuned < FLAT_BELOW:
            asked = asked.bypass_vector_index()
        else:
            factor = -(-max(depth.candidates, depth.candidates // depth.k * k) // k)
            probes = round(depth.probes / min(1.0, share))
            asked = asked.minimum_nprobes(probes).maximum_nprobes(0).refine_factor(factor)
    rows = asked.to_arrow()
    scores = np.float32(1) - rows[DISTANCE].to_numpy().astype(np.float32)
    positions = rows[ROW].to_numpy().astype(np.int64)
    order = np.lexsort((positions, -scores))
    return scores[order], positions[order]
