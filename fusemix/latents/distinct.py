"""What differs: distinct rows of links, and batches that hold no item twice.

Place in the flow: groups in an order (batches.py) -> rows of each batch. Pure: numbers in, numbers out.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer

MOST_WAIT = 4
"""Of a set with items that occur very often, no more groups should wait than a batch has, divided by this."""


def distinct_rows(rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " distinct"]:
    """Each row once, ascending; by counting, since numpy 2.4 takes six seconds for the same of five million."""
    return np.flatnonzero(np.bincount(rows))


class _Firsts(NamedTuple):
    """For each group, the place of the first one that has the same left item, and of those with its right items."""

    left: Int32[np.ndarray, " some"]
    rights: Int32[np.ndarray, "some rights"]

    def both(self, found: Bool[np.ndarray, " some"]) -> Bool[np.ndarray, " some"]:
        """Whether an item of a group is one of a group that was found, which had it first."""
        return found[self.left] | found[self.rights].any(axis=1)


class Distinct:
    """Finds groups that share no item; for one thread.

    Args:
        groups: all groups that will ever be asked for; what is kept of them is the largest row of each side.
    """

    def __init__(self, groups: Integer[np.ndarray, "groups items"]) -> None:
        # Where a row was last seen. Made once: a batch touches few of its pages, and fresh pages are slow.
        self._left = np.empty(int(groups[:, 0].max(initial=0)) + 1, dtype=np.int32)
        self._right = np.empty(int(groups[:, 1:].max(initial=0)) + 1, dtype=np.int32)

    def _firsts(self, groups: Integer[np.ndarray, "some items"]) -> _Firsts:
        left, rights = np.ascontiguousarray(groups[:, 0]), np.ascontiguousarray(groups[:, 1:])
        backwards = np.arange(len(groups), dtype=np.int32)[::-1]
        # Written backwards, so that the first occurrence is what stays; without sorting.
        self._left[left[::-1]] = backwards
        self._right[rights[::-1].ravel()] = np.repeat(backwards, rights.shape[1])
        return _Firsts(self._left[left], self._right[rights])

    def choose(
        self, groups: Integer[np.ndarray, "some items"], most: int, *, in_order: bool = False
    ) -> Int64[np.ndarray, " chosen"]:
        """Places of groups that share no item, ascending: as many as a greedy choice finds, and `most` at the most.

        In rounds: all whose items occur first, then of those that share no item with these again all that do. Without
        `most`, that is what taking one after the other finds, wherever it is free.

        Args:
            groups: to choose from.
            most: to choose.
            in_order: take the first ones of what all rounds find, and leave no free one waiting for one behind it;
                otherwise rounds that are not needed are spared.
        """
        chosen, found, free = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.arange(len(groups))
        while len(free) and (in_order or len(chosen) < most):
            firsts = self._firsts(groups if len(free) == len(groups) else groups[free])
            is_first = _is_first(firsts)
            found = free[is_first] if in_order else free[is_first][: most - len(chosen)]
            chosen = np.concatenate([chosen, found])
            free = free[~firsts.both(is_first)]
        return np.sort(chosen)[:most]


def _is_first(firsts: _Firsts) -> Bool[np.ndarray, " some"]:
    place = np.arange(len(firsts.left), dtype=np.int32)
    return (firsts.left == place) & (firsts.rights == place[:, None]).all(axis=1)


def draw_batches(
    ordered: Integer[np.ndarray, "groups items"], batch_size: int, distinct: Distinct, *, is_crowded: bool = False
) -> Iterator[Int64[np.ndarray, "batch items"]]:
    """Groups in their order, cut into batches that hold no item twice; see `batches.Links.batches`.

    Args:
        ordered: all groups of a pass.
        batch_size: groups in each batch.
        distinct: made for these.
        is_crowded: some item has about as many groups as there are batches. What waits is then served in order where
            it has become much: most of it would be passed over, batch after batch.
    """
    waiting, position = ordered[:0], 0
    while len(waiting) + len(ordered) - position >= batch_size:
        reach = batch_size + batch_size // 4
        in_order = is_crowded and len(waiting) > batch_size // MOST_WAIT
        while True:
            pool = np.concatenate([waiting, ordered[position : position + reach]])
            chosen = distinct.choose(pool, batch_size, in_order=in_order)
            if len(chosen) == batch_size or position + reach >= len(ordered):
                break
            reach *= 2
        if len(chosen) < batch_size:
            return
        keep = np.ones(len(pool), dtype=bool)
        keep[chosen] = False
        # What lies behind the last chosen group is read again, so the pool stays small.
        last = max(int(chosen[-1]) + 1, len(waiting))
        position += last - len(waiting)
        waiting = pool[:last][keep[:last]]
        yield pool[chosen].astype(np.int64)
