"""What an index is at a time: what its table finds and counts, as long as neither it nor index.json changes.

Place in the flow: Description and table -> State -> Index, which opens another where these have changed.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from fusemix.search.description import Description
from fusemix.search.facets import Facet, facets_of
from fusemix.search.table import ROW, VECTOR

FLAT_BELOW = 100_000
"""Fewer items are compared one by one; see tuning.py."""
MOST_COUNTS, MOST_FACETS = 256, 32
"""Filters whose counts are kept, and those of which it is kept how many items each further value would leave."""
DISTANCE = "_distance"


class State(NamedTuple):
    """An index at a time.

    Attributes:
        written: which index.json it is.
        description: what that says.
        table: of the items; sees what others commit to it.
        counted: version of the table, and filters -> items.
        listed: the same -> what items may be filtered by besides.
    """

    written: tuple[int, int]
    description: Description
    table: Any
    counted: dict[tuple[int, str], int]
    listed: dict[tuple[Any, ...], list[Facet]]

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


def nearest(
    state: State, query: Float32[np.ndarray, " width"], k: int, where: str | None
) -> tuple[Float32[np.ndarray, " found"], Int64[np.ndarray, " found"]]:
    """Scores and positions of the best items of one query, best first."""
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
