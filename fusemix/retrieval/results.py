"""What each query found: the top of its list, for files, pictures and pages.

Place in the flow: a measured direction and what it listed -> Results -> queries.jsonl, sample queries.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from fusemix.retrieval.index import QUERIES_AT_ONCE
from fusemix.retrieval.listing import Top
from fusemix.retrieval.metrics import Direction


class Results(NamedTuple):
    """The k best gallery items of each query of a direction; row i is query `direction.ranks.queries[i]`.

    Attributes:
        direction: what was measured.
        top: the gallery items, best first, with their cosines.
        is_linked: whether they belong to the query.
        owners: the left item that each query belongs to: itself, or the first that is linked to it.
    """

    direction: Direction
    top: Top
    is_linked: Bool[np.ndarray, "queries k"]
    owners: Int64[np.ndarray, " queries"]


def results_of(
    directions: tuple[Direction, Direction], tops: tuple[Top, Top], links: Int64[np.ndarray, "links 2"]
) -> tuple[Results, Results]:
    """Put together what was measured and what was found, of both directions.

    Args:
        directions: left to right, then right to left.
        tops: what each query found, in the order of its direction's ranks.
        links: (left position, right position).
    """
    left, right = (direction.ranks.queries for direction in directions)
    first = links[np.lexsort((links[:, 0], links[:, 1]))]
    owner = first[np.searchsorted(first[:, 1], right), 0]
    linked = (belongs(links, left, tops[0].positions), belongs(links[:, ::-1], right, tops[1].positions))
    return Results(directions[0], tops[0], linked[0], left), Results(directions[1], tops[1], linked[1], owner)


def belongs(
    links: Int64[np.ndarray, "links 2"], queries: Int64[np.ndarray, " queries"], found: Int64[np.ndarray, "queries k"]
) -> Bool[np.ndarray, "queries k"]:
    """Whether what was found is linked to its query.

    Args:
        links: (query position, gallery position).
        queries: positions.
        found: gallery positions; -1 where nothing was found.
    """
    width = int(max(links[:, 1].max(), found.max())) + 1
    linked = np.sort(links[:, 0] * width + links[:, 1])
    is_linked = np.empty(found.shape, dtype=bool)
    for at in range(0, len(found), QUERIES_AT_ONCE):
        some = slice(at, at + QUERIES_AT_ONCE)
        asked = queries[some, None] * width + found[some]
        nearest = linked[np.minimum(np.searchsorted(linked, asked), len(linked) - 1)]
        is_linked[some] = (nearest == asked) & (found[some] >= 0)
    return is_linked


def query_lines(
    results: Results, ids: tuple[Sequence[str], Sequence[str]], left_ids: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One line a query: rank and id of its first linked item, what stands at the top, with scores.

    Args:
        results: of one direction.
        ids: of the items of the query's side and of the gallery.
        left_ids: of the items of the left side.
    """
    query_ids, gallery_ids = ids
    ranks = results.direction.ranks
    for place, query in enumerate(ranks.queries.tolist()):
        yield {
            "direction": results.direction.name,
            "query": query_ids[query],
            "left_item": left_ids[int(results.owners[place])],
            "rank": int(ranks.ranks[place]),
            "first_linked": gallery_ids[int(ranks.first[place])],
            "found": [gallery_ids[position] for position in results.top.positions[place].tolist()],
            "scores": [round(score, 6) for score in results.top.scores[place].tolist()],
            "is_linked": results.is_linked[place].tolist(),
        }
