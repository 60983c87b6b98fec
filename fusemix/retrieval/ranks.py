"""At which rank each query finds its linked items; exact, in bounded memory.

Place in the flow: embeddings and links -> thresholds -> tiles.py, counting.py -> ranks -> metrics.
In the same pass, where they are wanted: what stands at the top ranks (listing.py), and masses (masses.py).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from fusemix.retrieval.counting import PLAIN, Counting, Shift, Shifts, Thresholds
from fusemix.retrieval.listing import Listing, Top
from fusemix.retrieval.masses import Masses
from fusemix.retrieval.tiles import ALONE, Share, walk

TIE_TOLERANCE = 1e-6
"""Cosines closer than this count as equal: float32 sums of some hundred products differ by as much
between two orders of addition, and so between two runs, libraries or batch shapes."""
DEPTH = 10
"""How deep mAP and nDCG look, and so how many of a query's linked items are ranked."""
NOWHERE = np.iinfo(np.int64).max
"""Rank of a linked item that a query does not have."""
LINKS_AT_ONCE = 256


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


class Seen(NamedTuple):
    """What was wanted of all scores, of both ways: the left asks, and the right asks.

    Attributes:
        ranks: of linked items.
        tops: what stands at the top of each query with links; None where nothing was to be listed.
        masses: for each left and each right item, the logarithm of the sum of exp(beta * score) over the other side;
            None without beta.
    """

    ranks: tuple[Ranks, Ranks]
    tops: tuple[Top, Top] | None
    masses: tuple[Float32[np.ndarray, " left"], Float32[np.ndarray, " right"]] | None

    def turned(self) -> "Seen":
        """The same with left for right."""
        (one, other), tops, masses = self
        return Seen((other, one), tops and (tops[1], tops[0]), masses and (masses[1], masses[0]))


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
    """Ranks of the linked items, asked from the left and asked from the right; see `look_once`."""
    return look_once(left, right, links, share=share, advance=advance).ranks


def look_once(
    left: Float32[Tensor, "left dim"],
    right: Float32[Tensor, "right dim"],
    links: Int64[np.ndarray, "links 2"],
    *,
    depth: int = 0,
    beta: float = 0.0,
    share: Share = ALONE,
    advance: Callable[[int], None] = lambda count: None,
) -> Seen:
    """Ranks of the linked items both ways, and what else is wanted of the scores, in one pass over them.

    A linked item's rank is one, plus the linked items of its query that score more, plus the unlinked ones that score
    at least as much (within TIE_TOLERANCE).

    Args:
        left, right: embeddings, of unit length, on one device.
        links: (left position, right position), each pair once.
        depth: items to list for each query, at most as many as the smaller side has; 0 for none.
        beta: inverse temperature of masses; 0 for none.
        share: where several processes divide the work; all of them get everything.
        advance: told the number of items of the smaller side that are done.

    Raises:
        ValueError: there is no link, or embeddings hold NaN, which compare as false and would rank first.
    """
    if len(left) > len(right):
        how: dict[str, Any] = {"depth": depth, "beta": beta, "share": share, "advance": advance}
        return look_once(right, left, links[:, ::-1], **how).turned()
    links, sizes = _checked(left, right, links), (len(left), len(right))
    asked = _Asked.of(links, _linked_scores(left, right, links), sizes)
    listing = Listing(sizes, (depth, depth)) if depth else None
    masses = Masses(sizes, beta) if beta else None
    takers = [asked.counting, *filter(None, (masses, listing))]
    walk(left, right, takers, share=share, advance=advance)
    tops = None
    if listing:
        one, other = (
            Top(*(side[way.queries] for side in top)) for top, way in zip(listing.best(share), asked.ways, strict=True)
        )
        tops = one, other
    return Seen(asked.ranks(share), tops, masses and masses.logarithms(share))


def shifted_ranks(
    left: Float32[Tensor, "left dim"],
    right: Float32[Tensor, "right dim"],
    links: Int64[np.ndarray, "links 2"],
    shifts: Sequence[tuple[Shift, Shift]],
) -> list[tuple[Ranks, Ranks]]:
    """Ranks of the linked items both ways, with each of some shifts of the scores, all in one pass over them.

    Args and Raises: see `look_once`. `shifts`: of each, what is added where the left asks, and where the right does.
    """
    if len(left) > len(right):
        turned = shifted_ranks(right, left, links[:, ::-1], [(other, one) for one, other in shifts])
        return [(one, other) for other, one in turned]
    links, sizes = _checked(left, right, links), (len(left), len(right))
    scores = _linked_scores(left, right, links)
    asked = [_Asked.of(links, scores, sizes, Shifts(*both)) for both in shifts]
    walk(left, right, [each.counting for each in asked])
    return [each.ranks(ALONE) for each in asked]


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
        products = left.index_select(0, rows[some]).mul_(right.index_select(0, columns[some]))
        torch.sum(products, dim=1, out=scores[some])
    return scores.cpu().numpy()


class _Asked(NamedTuple):
    """The linked items of all queries, of both ways, and what counts how many stand ahead of them."""

    ways: tuple[_Scored, _Scored]
    counting: Counting

    @classmethod
    def of(
        cls,
        links: Int64[np.ndarray, "links 2"],
        scores: Float32[np.ndarray, " links"],
        sizes: tuple[int, int],
        shifts: Shifts = PLAIN,
    ) -> "_Asked":
        """Args: links in order, their scores, numbers of items of both sides, and what is added to scores."""
        pairs = links, links[:, ::-1]
        one, other = (
            _scored(pair, shift.of_pairs(pair, scores) if shift else scores)
            for pair, shift in zip(pairs, shifts, strict=True)
        )
        thresholds = Thresholds(_thresholds(one, sizes[0]), _thresholds(other, sizes[1]))
        return cls((one, other), Counting(links, thresholds, shifts))

    def ranks(self, share: Share) -> tuple[Ranks, Ranks]:
        """Once all scores were looked at."""
        pairs = zip(self.ways, self.counting.total(share), strict=True)
        one, other = (_ranks(way, counts[:, way.queries]) for way, counts in pairs)
        return one, other


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
