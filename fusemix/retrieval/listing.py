"""What stands at the top of every row and every column, taken from the tiles that ranks are counted in.

Place in the flow: tiles of scores -> the k best of each query, best first -> results.py, hubness.py.

A tile is not sorted. Maxima of some equal parts of a row tell a score that at least k entries of the row reach; few
entries reach it, and only these are put into order with the best so far. From the next tile on, an entry has to beat
the last of these.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fusemix.retrieval.tiles import ALONE, Block, Each, Room, Share, Taker, Tile

PARTS = 3
"""Parts for each item listed. With as many, a fifth more entries than are listed reach the score."""
LOOKED_AT = 8192
"""Entries of a row that this score comes from."""
NOTHING = -1
"""Position where fewer than k were seen; the score is minus infinity."""
MOST = 32_000
"""Items that can be listed, for 15 bits of a number that is sorted."""
LISTS_AT_ONCE = 4096
"""Lists that a thread puts into order."""
EXCHANGED_AT_ONCE = 1 << 20
"""Lists that processes exchange at a time."""


class Top(NamedTuple):
    """The k best gallery items of each query, best first; equal scores in order of position."""

    scores: Float32[np.ndarray, "queries k"]
    positions: Int64[np.ndarray, "queries k"]


class Listing(Taker):
    """The best of every row, of every column, or of both."""

    def __init__(self, sizes: tuple[int, int], depths: tuple[int, int]) -> None:
        """Of nothing yet.

        Args:
            sizes: numbers of rows and columns.
            depths: columns to list for each row and rows for each column, up to as many as there are and to MOST; 0
                for none.
        """
        pairs = zip(sizes, depths, strict=True)
        self._ways = [_Way(size, depth, across) for across, (size, depth) in enumerate(pairs) if depth]

    def prepare(self, tile: Tile) -> None:
        """Find scores that enough entries of the tile reach."""
        for way in self._ways:
            way.prepare(tile)

    def from_block(self, block: Block, room: Room) -> list["_Entries"]:
        """Entries that reach them."""
        truths, width = room.truths(block.scores.shape), block.scores.shape[1]
        found = []
        for way in self._ways:
            np.greater_equal(block.scores, way.reach(block.rows), out=truths[:, :width])
            rows, columns = np.divmod(np.flatnonzero(truths), truths.shape[1])
            found.append(way.entries(block, rows, columns, block.scores[rows, columns]))
        return found

    def from_device(self, tile: Tile) -> list["_Entries"]:
        """The same in a whole tile."""
        found = []
        for way in self._ways:
            reach = torch.from_numpy(way.reach(tile.rows)).to(tile.scores.device)
            rows, columns = (tile.scores >= reach).nonzero(as_tuple=True)
            scores = tile.scores[rows, columns]
            found.append(way.entries(tile, *(each.cpu().numpy() for each in (rows, columns, scores))))
        return found

    def keep(self, part: Block | Tile, found: list["_Entries"]) -> None:
        """Keep them until the tile is finished."""
        for way, entries in zip(self._ways, found, strict=True):
            way.new.append(entries)

    def finish(self, tile: Tile, each: Each) -> None:
        """Put them into order with the best so far."""
        for way in self._ways:
            way.finish(tile, each)

    def best(self, share: Share = ALONE) -> list[Top]:
        """The lists of all processes together, rows first."""
        return [way.best if share is ALONE else _of_all(way.best, share) for way in self._ways]


class _Entries(NamedTuple):
    """Entries of a tile that may be listed: whose they are and where they are, both counted from the tile's first."""

    own: Int64[np.ndarray, " entries"]
    places: Int64[np.ndarray, " entries"]
    scores: Float32[np.ndarray, " entries"]

    def within(self, start: int, stop: int) -> "_Entries":
        """Those of some rows (or columns), counted from the first of these."""
        inside = (self.own >= start) & (self.own < stop)
        return _Entries(self.own[inside] - start, self.places[inside], self.scores[inside])


class _Way:
    """One direction: rows that list columns (`across` is 0), or columns that list rows (1)."""

    def __init__(self, size: int, depth: int, across: int) -> None:
        self.best = Top(np.full((size, depth), -np.inf, dtype=np.float32), np.full((size, depth), NOTHING))
        self.new: list[_Entries] = []
        self._across = across

    def prepare(self, tile: Tile) -> None:
        """What an entry must reach, of each own row (or column) of the tile, and up to where a tie with it counts."""
        known = self.best.scores[tile.sides[self._across], -1]
        self._reach = np.nextafter(known, np.float32(np.inf))  # a tie with the last one listed stands behind it
        self._ties_before = np.full(len(known), np.iinfo(np.int64).max)
        if np.isinf(known).any():
            seed, before = _surely_reached(tile.scores, self._across, self.best.scores.shape[1])
            self._ties_before = np.where(seed > known, before, self._ties_before)
            self._reach = np.where(seed > known, seed, self._reach)
        self._start = tile.rows.start

    def reach(self, rows: slice) -> Float32[np.ndarray, "..."]:
        """To be compared with the scores of some rows of the tile."""
        return self._reach if self._across else self._reach[rows.start - self._start : rows.stop - self._start, None]

    def entries(
        self,
        part: Block | Tile,
        rows: Int64[np.ndarray, " entries"],
        columns: Int64[np.ndarray, " entries"],
        scores: Float32[np.ndarray, " entries"],
    ) -> _Entries:
        """Those of a part of the tile, found at some of its rows and columns, that may be listed."""
        places = rows + (part.rows.start - self._start), columns
        own, other = places[self._across], places[1 - self._across]
        may = (scores > self._reach[own]) | (other < self._ties_before[own])
        return _Entries(own[may], other[may], scores[may])

    def finish(self, tile: Tile, each: Each) -> None:
        """Put what the tile gave into order with the best so far."""
        entries = _Entries(*(np.concatenate(each) for each in zip(*self.new, strict=True)))
        self.new = []
        own, other = tile.sides[self._across], tile.sides[1 - self._across]
        best = Top(*(field[own] for field in self.best))

        def merge(start: int) -> None:
            some = entries.within(start, start + LISTS_AT_ONCE)
            is_changed = np.bincount(some.own, minlength=min(LISTS_AT_ONCE, len(best.scores) - start)) > 0
            changed = start + np.flatnonzero(is_changed)
            some = some._replace(own=(np.cumsum(is_changed) - 1)[some.own])
            for field, merged in zip(best, _merged(Top(*(f[changed] for f in best)), some, other.start), strict=True):
                field[changed] = merged

        list(each(merge, range(0, len(best.scores), LISTS_AT_ONCE)))


def _surely_reached(
    scores: Float32[Tensor, "rows columns"], across: int, k: int
) -> tuple[Float32[np.ndarray, " own"], Int64[np.ndarray, " own"]]:
    """A score of each row (or column) that at least k entries of it reach, and before which place there are k of them.

    The k-th largest of the maxima of equal parts: each of k parts has an entry that reaches it. Minus infinity where
    there are fewer than k entries.
    """
    own, length = scores.shape[across], scores.shape[1 - across]
    if length < k:
        return np.full(own, -np.inf, dtype=np.float32), np.full(own, length)
    length = min(length, max(LOOKED_AT, k))
    size = max(1, length // (PARTS * k))
    number = length // size
    parts = scores.narrow(1 - across, 0, number * size).unflatten(1 - across, (number, size))
    maxima = parts.amax(dim=2 - across).cpu().numpy()
    maxima = np.ascontiguousarray(maxima.T if across else maxima)
    reach = np.partition(maxima, number - k, axis=1)[:, number - k]
    before = _needed(maxima, reach, k) * size
    first = scores.narrow(1 - across, 0, min(length, 4 * k)).cpu().numpy()  # where most scores tie, parts hold too many
    places = _needed(first.T if across else first, reach, k)
    return reach, np.where(places <= min(length, 4 * k), places, before)


def _needed(
    scores: Float32[np.ndarray, "own places"], reach: Float32[np.ndarray, " own"], k: int
) -> Int64[np.ndarray, " own"]:
    """How many of the first places hold k scores that reach something; one more than there are where they do not."""
    return 1 + (np.cumsum(scores >= reach[:, None], axis=1, dtype=np.int32) < k).sum(axis=1)


def _merged(best: Top, new: _Entries, start: int) -> Top:
    """The best of what was listed and of what is new.

    Whose an entry is, its score, and its place among those of the same score fill 15, 32 and 16 bits of one number; so
    numbers alone are sorted. What was listed came before the tile, and keeps its place before what is new.

    Args:
        best: lists.
        new: entries of the tile, of these.
        start: position of the tile's first place.
    """
    number, k = best.scores.shape
    listed = (np.arange(number)[:, None] << 32 | _descending(best.scores)) << 16 | np.arange(k)
    added = (new.own << 32 | _descending(new.scores)) << 16 | (new.places + k)
    keys = np.sort(np.concatenate([listed.ravel(), added]))
    lengths = k + np.bincount(new.own, minlength=number)
    firsts = keys[(np.cumsum(lengths) - lengths)[:, None] + np.arange(k)]
    places = firsts & 0xFFFF
    before = np.take_along_axis(best.positions, np.minimum(places, k - 1), axis=1)
    return Top(_ascending(firsts >> 16 & 0xFFFFFFFF), np.where(places < k, before, places - k + start))


def _descending(scores: Float32[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
    """Whole numbers of 32 bits, the smaller the better the score: but for the sign, bits of floats are in order."""
    bits = (scores + np.float32(0)).view(np.int32)  # minus zero becomes zero
    return np.int64(2**31 - 1) - (bits ^ (bits >> 31 & 0x7FFFFFFF))


def _ascending(numbers: Int64[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """The scores again."""
    bits = (np.int64(2**31 - 1) - numbers).astype(np.int32)
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(np.float32)


def _of_all(own: Top, share: Share) -> Top:
    """The best of the lists of all processes; each adds its own to noughts in the place of the others."""
    size, k = own.scores.shape
    made = Top(np.empty_like(own.scores), np.empty_like(own.positions))
    for at in range(0, size, EXCHANGED_AT_ONCE):
        some = slice(at, at + EXCHANGED_AT_ONCE)
        scores, positions = (_side_by_side(field[some], share) for field in own)
        order = np.lexsort((positions, -scores), axis=1)[:, :k]
        made.scores[some] = np.take_along_axis(scores, order, axis=1)
        made.positions[some] = np.take_along_axis(positions, order, axis=1)
    return made


def _side_by_side(own: np.ndarray, share: Share) -> np.ndarray:
    places = np.zeros((share.num_processes, *own.shape), dtype=own.dtype)
    places[share.rank] = own
    return np.concatenate(share.total(places), axis=1)
