"""At which rank each query finds its linked items; exact, in bounded memory.

Place in the flow: embeddings and links -> thresholds -> counting.py -> ranks -> metrics.
Not here: what stands at the top ranks (index.py).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from fusemix.retrieval.counting import ALONE, Share, Shift, Thresholds, count_unlinked

TIE_TOLERANCE = 1e-6
"""Cosines closer than this count as equal: float32 sums of some hundred products differ by as much
between two orders of addition, and so between two runs, libraries or batch shapes."""
DEPTH = 10
"""How deep mAP and nDCG look, and so how many of a query's linked items are ranked."""
NOWHERE = np.iinfo(np.int64).max
"""Rank of a linked item that a query does not have."""
LINKS_AT_ONCE = 1024


class Ranks(NamedTuple):
    """One entry a query that has links.

    Attributes:
        queries: positions of these queries, ascending.
        linked: ranks of the linked items, best first, from 1; unlinked items with the same score come first. Of more
            than DEPTH, the best; where a query has fewer, NOWHERE.
        tied: whether an unlinked item has the same score as the best linked one.
        num_links: linked items of the query.
        best: score of the best linked item.
        first: position of that item in the gallery; of equally good ones, the first.
    """

    queries: Int64[np.ndarray, " queries"]
    linked: Int64[np.ndarray, "queries depth"]
    tied: Bool[np.ndarray, " queries"]
    num_links: Int64[np.ndarray, " queries"]
    best: Float32[np.ndarray, " queries"]
    first: Int64[np.ndarray, " queries"]

    @property
    def ranks(self) -> Int64[np.ndarray, " queries"]:
        """Rank of the first linked item of each query, from 1."""
        return self.linked[:, 0]


class _Scored(NamedTuple):
    """Queries with links; scores of their best linked items, descending, minus infinity where there is none."""

    queries: Int64[np.ndarray, " queries"]
    num_links: Int64[np.ndarray, " queries"]
    scores: Float32[np.ndarray, "queries depth"]
    first: Int64[np.ndarray, " queries"]


def ranks_both_ways(
    left: Float32[Tensor, "left dim"],
    right: Float32[Tensor, "right dim"],
    links: Int64[np.ndarray, "links 2"],
    *,
    share: Share = ALONE,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Ranks, Ranks]:
    """Ranks of the linked items, asked from the left and asked from the right, in one pass over the scores.

    A linked item's rank is one, plus the linked items of its query that score more, plus the unlinked ones that score
    at least as much (within TIE_TOLERANCE).

    Args:
        left, right: embeddings, of unit length, on one device.
        links: (left position, right position), each pair once.
        share: where several processes divide the work; all of them get all ranks.
        advance: told the number of left items that are done.

    Raises:
        ValueError: there is no link, or embeddings hold NaN, which compare as false and would rank first.
    """
    links = _checked(left, right, links)
    scores = _linked_scores(left, right, links)
    ways = _scored(links, scores), _scored(links[:, ::-1], scores)
    sizes = len(left), len(right)
    thresholds = Thresholds(*(_thresholds(way, size) for way, size in zip(ways, sizes, strict=True)))
    counts = count_unlinked(left, right, links, thresholds, share=share, advance=advance)
    one, other = (_ranks(way, counted[:, way.queries]) for way, counted in zip(ways, counts, strict=True))
    return one, other


def ranks_one_way(
    query: Float32[Tensor, "queries dim"],
    gallery: Float32[Tensor, "items dim"],
    links: Int64[np.ndarray, "links 2"],
    shift: Shift | None = None,
) -> Ranks:
    """Ranks of the linked items of every query, where scores of the two directions are not the same.

    Args and Raises: see `ranks_both_ways`; queries are the left. `shift` is added to the scores.
    """
    links = _checked(query, gallery, links)
    scores = _linked_scores(query, gallery, links)
    if shift:
        rows, columns = (torch.from_numpy(side.copy()).to(query.device) for side in links.T)
        scores += (shift.rows[rows] * shift.columns[columns]).cpu().numpy()
    way = _scored(links, scores)
    thresholds = Thresholds(_thresholds(way, len(query)), np.empty((0, len(gallery)), dtype=np.float32))
    return _ranks(way, count_unlinked(query, gallery, links, thresholds, shift=shift).rows[:, way.queries])


def _checked(left: Tensor, right: Tensor, links: Int64[np.ndarray, "links 2"]) -> Int64[np.ndarray, "links 2"]:
    if len(links) == 0:
        raise ValueError("no query has a link")
    if not (left.sum().isfinite() and right.sum().isfinite()):  # either survives a sum; a mask would take memory
        raise ValueError("embeddings hold NaN or infinity")
    return links[np.lexsort((links[:, 1], links[:, 0]))]


def _linked_scores(left: Tensor, right: Tensor, links: Int64[np.ndarray, "links 2"]) -> Float32[np.ndarray, " links"]:
    rows, columns = (torch.from_numpy(side.copy()).to(left.device) for side in links.T)
    scores = torch.empty(len(links), device=left.device)  # a list of parts would keep the allocator from reusing space
    for part in range(0, len(links), LINKS_AT_ONCE):
        some = slice(part, part + LINKS_AT_ONCE)
        torch.sum(left[rows[some]] * right[columns[some]], dim=1, out=scores[some])
    return scores.cpu().numpy()


def _scored(links: Int64[np.ndarray, "links 2"], scores: Float32[np.ndarray, " links"]) -> _Scored:
    """Args: links of (query position, gallery position), and their scores."""
    asked, given = links.T
    order = np.lexsort((given, -scores, asked))
    queries, starts, num_links = np.unique(asked[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(starts, num_links)
    kept = place < DEPTH
    table = np.full((len(queries), min(DEPTH, num_links.max())), -np.inf, dtype=np.float32)
    table[np.repeat(np.arange(len(queries)), num_links)[kept], place[kept]] = scores[order][kept]
    return _Scored(queries, num_links, table, given[order][starts])


def _thresholds(way: _Scored, size: int) -> Float32[np.ndarray, "thresholds size"]:
    """What ties with each linked item or beats it, and last, what beats the best of them."""
    table = np.full((way.scores.shape[1] + 1, size), np.inf, dtype=np.float32)
    table[:-1, way.queries] = np.where(np.isinf(way.scores), np.inf, way.scores - np.float32(TIE_TOLERANCE)).T
    table[-1, way.queries] = np.nextafter(way.scores[:, 0] + np.float32(TIE_TOLERANCE), np.float32(np.inf))
    return table


def _ranks(way: _Scored, counts: Int64[np.ndarray, "thresholds queries"]) -> Ranks:
    ahead, better = counts[:-1].T, counts[-1]
    ranks = ahead + np.arange(1, ahead.shape[1] + 1)
    linked = np.where(np.isinf(way.scores), NOWHERE, ranks)
    return Ranks(way.queries, linked, ahead[:, 0] > better, way.num_links, way.scores[:, 0], way.first)
