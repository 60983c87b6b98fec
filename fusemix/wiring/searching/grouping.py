"""Results in which near duplicates are one.

Place in the flow: the vector of a query -> Searcher.search, deeper where much collapses -> hits, and what is like each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fusemix.config.searching import NEAR
from fusemix.search.duplicates import leaders_of
from fusemix.wiring.searching.scopes import Scope
from fusemix.wiring.searching.searcher import Hit, Searcher

DEEPER = 4
"""Times as many items are looked at where too few groups are left."""
MOST_SEEN = 4_000
"""Items that are looked at, at most, unless more groups are wanted."""


class Grouped(NamedTuple):
    """What was found.

    Attributes:
        hits: the best of each group, best first.
        duplicates: of each, the others of its group, best first.
    """

    hits: list[Hit]
    duplicates: list[list[Hit]]


def grouped(
    searcher: Searcher,
    vector: Float32[np.ndarray, " width"],
    k: int,
    scope: Scope | None = None,
    words: Sequence[str] = (),
) -> Grouped:
    """The best groups of near duplicates; an item belongs to the best one that it is near to.

    Args:
        searcher: is asked.
        vector: as `summed` gives it.
        k: groups, at most.
        scope: what is looked among; None: all items.
        words: what is looked for as it is written.
    """
    depth = 2 * k
    while True:
        (hits,) = searcher.search(vector[None], depth, scope, [words])
        there, vectors = searcher.index.vectors_there([hit.position for hit in hits])
        is_last = len(hits) < depth or depth >= max(MOST_SEEN, 2 * k)
        left = set(there.tolist())
        hits = [hit for hit in hits if hit.position in left]
        leaders = leaders_of(vectors, [hit.modality for hit in hits], NEAR)
        firsts = np.unique(leaders)
        if len(firsts) > k or is_last:
            break
        depth *= DEEPER
    found: dict[int, list[Hit]] = {place: [] for place in firsts[:k].tolist()}
    for place, leader in enumerate(leaders.tolist()):
        if leader in found and leader != place:
            found[leader].append(hits[place])
    return Grouped([hits[place] for place in found], list(found.values()))
