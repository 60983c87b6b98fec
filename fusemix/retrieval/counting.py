"""How many unlinked items reach given scores, for rows and columns at once; exact.

Place in the flow: tiles of scores, links, thresholds -> counts -> ranks.py.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64

from fusemix.retrieval.tiles import WORDS, Block, Each, Room, Share, Taker, Tile


class Thresholds(NamedTuple):
    """Scores to be reached, some for each row and some for each column; infinity is never reached."""

    rows: Float32[np.ndarray, "per_row rows"]
    columns: Float32[np.ndarray, "per_column columns"]

    def within(self, rows: slice, columns: slice) -> "Thresholds":
        """Those of some rows and columns."""
        return Thresholds(self.rows[:, rows], self.columns[:, columns])


class Shift(NamedTuple):
    """What is added to the score of a query and a gallery item: the item's number, for some queries or for all.

    Attributes:
        items: a number of each gallery item.
        queries: 1 for each query that it is added for, else 0; None for all.
    """

    items: Float32[np.ndarray, " items"]
    queries: Float32[np.ndarray, " queries"] | None = None

    def of_matrix(self, way: int, rows: slice, columns: slice) -> list[Float32[np.ndarray, "..."]]:
        """What is multiplied and added to some rows and columns; queries are the rows (`way` is 0) or the columns."""
        asked, given = (columns, rows) if way else (rows, columns)
        items = self.items[given, None] if way else self.items[given]
        if self.queries is None:
            return [items]
        return [items, self.queries[asked] if way else self.queries[asked, None]]

    def of_pairs(
        self, pairs: Int64[np.ndarray, "pairs 2"], scores: Float32[np.ndarray, " pairs"]
    ) -> Float32[np.ndarray, " pairs"]:
        """Scores of pairs (query, item) with what is added to them."""
        items = self.items[pairs[:, 1]]
        return scores + (items if self.queries is None else items * self.queries[pairs[:, 0]])


class Shifts(NamedTuple):
    """What is added to the scores for the thresholds of rows, where rows ask, and of columns, where columns ask."""

    rows: Shift | None = None
    columns: Shift | None = None


PLAIN = Shifts()


class Counts(NamedTuple):
    """Unlinked items that reach each threshold."""

    rows: Int64[np.ndarray, "per_row rows"]
    columns: Int64[np.ndarray, "per_column columns"]


class Counting(Taker):
    """Counts, in every row and every column, the unlinked entries that reach each threshold."""

    def __init__(self, links: Int64[np.ndarray, "links 2"], thresholds: Thresholds, shifts: Shifts = PLAIN) -> None:
        """Of all rows and columns.

        Args:
            links: (row, column), each pair once, in order of rows.
            thresholds: of each row and column.
            shifts: added to the scores.
        """
        self._links, self._thresholds, self._shifts = links, thresholds, shifts
        self.counts = Counts(*(np.zeros(side.shape, dtype=np.int64) for side in thresholds))

    def total(self, share: Share) -> Counts:
        """The counts of all processes together."""
        return Counts(*(share.total(side) for side in self.counts))

    def keep(self, part: Block | Tile, found: Counts) -> None:
        """Add what was found in some rows and columns."""
        self.counts.rows[:, part.rows] += found.rows
        self.counts.columns[:, part.columns] += found.columns

    def from_block(self, block: Block, room: Room) -> Counts:
        """Eight at a time: the truth values of eight columns are the bytes of one word, and words are added."""
        truths, (height, width) = room.truths(block.scores.shape), block.scores.shape
        inside, words = truths[:, :width], truths.view(np.int64).reshape(height, -1, WORDS)
        one_a_row, one_a_column = self._thresholds.within(block.rows, block.columns)
        rows, columns = (np.empty(side.shape, dtype=np.int64) for side in (one_a_row, one_a_column))
        scores = self._shifted(0, block, room)
        for place, reach in enumerate(one_a_row):
            np.greater_equal(scores, reach[:, None], out=inside)
            rows[place] = words.sum(axis=2).view(np.uint8).sum(axis=1)
        scores = self._shifted(1, block, room)
        for place, reach in enumerate(one_a_column):
            np.greater_equal(scores, reach, out=inside)
            columns[place] = words.sum(axis=0).view(np.uint8).ravel()[:width]
        return Counts(rows, columns)

    def _shifted(self, way: int, block: Block, room: Room) -> Float32[np.ndarray, "rows columns"]:
        shift = self._shifts[way]
        if shift is None:
            return block.scores
        added, made = shift.of_matrix(way, block.rows, block.columns), room.numbers(block.scores.shape)
        if len(added) == 1:
            return np.add(block.scores, added[0], out=made)
        return np.add(block.scores, np.multiply(*added, out=made), out=made)

    def from_device(self, tile: Tile) -> Counts:
        """One comparison of the whole tile a threshold."""
        found, device = [], tile.scores.device
        for way, reached in enumerate(self._thresholds.within(tile.rows, tile.columns)):
            scores, shift = tile.scores, self._shifts[way]
            if shift:
                added = [torch.from_numpy(side).to(device) for side in shift.of_matrix(way, tile.rows, tile.columns)]
                scores = scores + (added[0] if len(added) == 1 else added[0] * added[1])
            counts = np.empty(reached.shape, dtype=np.int64)
            for place, reach in enumerate(torch.from_numpy(np.ascontiguousarray(reached)).to(device)):
                is_reached = scores >= (reach if way else reach[:, None])
                counts[place] = is_reached.sum(dim=1 - way).cpu().numpy()
            found.append(counts)
        return Counts(*found)

    def finish(self, tile: Tile, each: Each) -> None:
        """Take the linked items out of the counts again, by the very scores that they were counted with."""
        links = self._links[slice(*np.searchsorted(self._links[:, 0], [tile.rows.start, tile.rows.stop]))]
        links = links[(links[:, 1] >= tile.columns.start) & (links[:, 1] < tile.columns.stop)]
        inside = torch.from_numpy(links - [tile.rows.start, tile.columns.start])
        linked = tile.scores[inside[:, 0], inside[:, 1]].cpu().numpy()
        pairs = links, links[:, ::-1]
        for counts, reached, pair, shift in zip(self.counts, self._thresholds, pairs, self._shifts, strict=True):
            scores = shift.of_pairs(pair, linked) if shift else linked
            for of_one, reach in zip(counts, reached, strict=True):
                of_one -= np.bincount(pair[:, 0], scores >= reach[pair[:, 0]], minlength=len(of_one)).astype(int)
