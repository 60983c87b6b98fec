"""Which pairs make a batch, and which pairs are held out.

Place in the flow: links -> rows of each batch. Pure: numbers in, numbers out.
Not here: the latents behind the rows (loader.py).

A batch never holds an item twice. With five captions a picture, a plain shuffle would make the other four captions
negatives of their own picture.

A group is one left row and one or several right rows that belong to it: a pair, or an item with several positives.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fusemix.latents.distinct import Distinct, distinct_rows, draw_batches

LEAST_RANDOM_BITS = 8
BLOCK = 4096
"""Links that lie together on disk and are read together, where latents do not fit into memory."""
WINDOW = 1 << 20
"""Links that are shuffled with one another: all of most sets. Of a larger one, their latents are some GB: what a
machine that leaves latents on disk reads at a time, in runs, and then finds in its page cache."""
WINDOW_IN_BATCHES = 16
"""A window holds as many batches at least, each with all links of its items."""


class Links:
    """The links of a training set, ready to be dealt again for every epoch.

    Args:
        links: (left row, right row).
        per_item: None takes every link as a pair of its own; a number takes as many links of each left item an epoch,
            at random, as one group. Items with fewer are left out, since a positive that is there twice counts twice.

    Attributes:
        links: those that are dealt, in order of left items.
        left_out: left items that have too few links.
    """

    def __init__(self, links: Int64[np.ndarray, "links 2"], per_item: int | None = None) -> None:
        self.links = links[np.argsort(links[:, 0], kind="stable")]
        self.per_item = per_item
        self._starts, self._sizes = stretches(self.links[:, 0])
        has_enough = self._sizes >= (per_item or 1)
        self.left_out = int((~has_enough).sum())
        if self.left_out:
            self.links = self.links[np.repeat(has_enough, self._sizes)]
            self._starts, self._sizes = stretches(self.links[:, 0])

    def __len__(self) -> int:
        """Groups in an epoch."""
        return len(self.links) if self.per_item is None else len(self._starts)

    @cached_property
    def num_items(self) -> tuple[int, int]:
        """Distinct items of the left and of the right."""
        return len(self._starts), len(distinct_rows(self.links[:, 1]))

    @cached_property
    def is_one_to_one(self) -> bool:
        """Whether no item has two links, so that a pass gives as many batches as its links fill."""
        return self.num_items == (len(self.links), len(self.links))

    @property
    def largest_batch(self) -> int:
        """No batch can be larger: the number of distinct items on the smaller side."""
        left, right = self.num_items
        return min(left, right // (self.per_item or 1))

    def batches(self, batch_size: int, generator: np.random.Generator) -> Iterator[Int64[np.ndarray, "batch items"]]:
        """Batches of one epoch: every group at most once, and no item twice in a batch.

        A group that would repeat an item waits for the next batch. What does not fill a last batch is left to the next
        epoch, whose order is another; so is what an item has in surplus, see `surplus`.

        The order is the same wherever latents live: runs of links that lie together on disk are shuffled, and then the
        links of some such runs, the windows, so that latents which stay on disk are read in runs.

        Args:
            batch_size: groups in each batch.
            generator: source of the order.
        """
        groups = self._groups(generator)
        of_batches = WINDOW_IN_BATCHES * batch_size * len(groups) // max(1, len(self._starts))
        window = windows(len(groups), max(WINDOW, of_batches), generator)
        if self.per_item is None:
            order = self._dealt(window, generator)
        elif window is None:
            order = generator.permutation(len(groups))
        else:
            order = shuffled_by(window, generator)
        left_out = surplus(groups, batch_size, generator)
        if left_out is not None:
            order = order[~left_out[order]]
        ordered = groups.astype(np.int32)[order]
        # Of this pass alone: another thread may draw the next one meanwhile.
        return draw_batches(ordered, batch_size, Distinct(self.links), is_crowded=left_out is not None)

    def _groups(self, generator: np.random.Generator) -> Int64[np.ndarray, "groups items"]:
        if self.per_item is None:
            return self.links
        # Of each item's links a stretch that starts anywhere, in a circle, so that each is taken as often.
        first = (generator.random(len(self._sizes)) * self._sizes).astype(np.int64)
        places = (first[:, None] + np.arange(self.per_item)) % self._sizes[:, None] + self._starts[:, None]
        return np.column_stack([self.links[self._starts, 0], self.links[places, 1]])

    def _dealt(
        self, window: Int64[np.ndarray, " links"] | None, generator: np.random.Generator
    ) -> Int64[np.ndarray, " links"]:
        """A random order in which the links of one left item lie far apart, window after window.

        Every left item's links are dealt to rounds, one a round, and each round is shuffled, so a stretch of a round
        repeats no left item.
        """
        turn = (generator.random(len(self._sizes)) * self._sizes).astype(np.int64)
        sizes = np.repeat(self._sizes, self._sizes)
        inside = np.arange(len(self.links)) - np.repeat(self._starts - turn, self._sizes)
        rounds = inside % sizes
        return shuffled_by(rounds if window is None else window * int(self._sizes.max()) + rounds, generator)


def stretches(values: Int64[np.ndarray, " n"]) -> tuple[Int64[np.ndarray, " runs"], Int64[np.ndarray, " runs"]]:
    """Where runs of equal values start, and how long they are."""
    starts = np.flatnonzero(np.r_[len(values) > 0, values[1:] != values[:-1]])
    return starts, np.diff(np.r_[starts, len(values)])


def shuffled_by(keys: Int64[np.ndarray, " n"], generator: np.random.Generator) -> Int64[np.ndarray, " n"]:
    """Places in order of their keys, at random among equals.

    Key, random bits and place are sorted as one number, which is several times as fast as sorting places by keys.
    """
    place_bits = max(1, (len(keys) - 1).bit_length())
    random_bits = 64 - place_bits - int(keys.max(initial=0)).bit_length()
    if random_bits < LEAST_RANDOM_BITS:
        return np.lexsort((generator.random(len(keys)), keys))
    random: UInt64[np.ndarray, " n"] = generator.integers(0, 1 << random_bits, len(keys), dtype=np.uint64)
    packed = (keys.astype(np.uint64) << np.uint64(random_bits) | random) << np.uint64(place_bits)
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    return (packed & np.uint64((1 << place_bits) - 1)).astype(np.int64)


def surplus(
    groups: Int64[np.ndarray, "groups items"], batch_size: int, generator: np.random.Generator
) -> Bool[np.ndarray, " groups"] | None:
    """True where a group has no turn, since its item has more groups than there are batches; None where none has.

    A caption of thousands of pictures is in a batch once, so most of its links would wait in vain, and be looked at for
    each batch again. Which of them have their turn is left to chance, so that it has one in every part of an epoch.

    Args:
        groups: of an epoch.
        batch_size: groups in each batch.
        generator: source of the choice; not used where all have their turn.
    """
    counts = [np.bincount(items) for items in groups.T]
    turns = _turns(counts, len(groups) // batch_size, batch_size)
    left_out = None
    for items, count in zip(groups.T, counts, strict=True):
        if count.max(initial=0) <= turns:
            continue
        places = np.flatnonzero((count > turns)[items])
        places = places[shuffled_by(items[places], generator)]
        sizes = count[count > turns]
        turn = np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        left_out = np.zeros(len(groups), dtype=bool) if left_out is None else left_out
        left_out[places[turn >= turns]] = True
    return left_out


def _turns(counts: list[Int64[np.ndarray, " _"]], batches: int, batch_size: int) -> int:
    """Batches that an epoch has at most, if no item is in one twice; 1 at least.

    Args:
        counts: groups of each item, for every place in a group.
        batches: that all groups would fill.
        batch_size: groups in each batch.
    """
    while True:
        fewer = max(1, min(int(np.minimum(count, batches).sum()) for count in counts) // batch_size)
        if fewer >= batches:
            return max(1, batches)
        batches = fewer


def windows(count: int, size: int, generator: np.random.Generator) -> Int64[np.ndarray, " count"] | None:
    """Which window each belongs to; a window is made of random whole blocks of neighbours. None where one holds all.

    Args:
        count: of what is put in order.
        size: how many are shuffled with one another; rounded down to whole blocks.
        generator: source of the order of blocks.
    """
    if count <= size:
        return None
    block = np.arange(count) // BLOCK
    places = generator.permutation(int(block[-1]) + 1)
    return places[block] // max(1, size // BLOCK)


def split_links(
    links: Int64[np.ndarray, "links 2"], holdout: float, seed: int
) -> tuple[Int64[np.ndarray, "train 2"], Int64[np.ndarray, "validation 2"]]:
    """Hold out a share of the links, such that no item is on both sides of the cut.

    Items that hang together through links (a picture and its captions, two pictures with one
    caption) stay together. A group larger than what is still to be held out stays in training.

    Args:
        links: (left row, right row).
        holdout: share to hold out, in (0, 1).
        seed: of the order in which groups are held out.
    """
    num_left, num_right = links.max(axis=0) + 1
    graph = coo_array((np.ones(len(links)), (links[:, 0], num_left + links[:, 1])), shape=(num_left + num_right,) * 2)
    group = connected_components(graph, directed=False)[1][links[:, 0]]
    groups, sizes = np.unique(group, return_counts=True)
    wanted = round(holdout * len(links))
    held: list[int] = []
    for place in np.random.default_rng(seed).permutation(len(groups)):
        if sizes[place] <= wanted:
            wanted -= int(sizes[place])
            held.append(int(groups[place]))
        if wanted == 0:
            break
    is_held = np.isin(group, held)
    return links[~is_held], links[is_held]
