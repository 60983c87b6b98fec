"""Which pairs make a batch, and which pairs are held out.

Place in the flow: links -> rows of each batch. Pure: numbers in, numbers out.
Not here: the latents behind the rows (loader.py).

A batch never holds an item twice. With five captions a picture, a plain shuffle would make the
other four captions negatives of their own picture.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def first_occurrences(links: Int64[np.ndarray, "links 2"]) -> Bool[np.ndarray, " links"]:
    """True where both the left and the right item occur for the first time."""
    first = np.ones(len(links), dtype=bool)
    place = np.arange(len(links))
    for side in (0, 1):
        # Written backwards, so that the first occurrence is what stays; without sorting.
        first_place = np.empty(int(links[:, side].max(initial=0)) + 1, dtype=np.int64)
        first_place[links[::-1, side]] = place[::-1]
        first &= first_place[links[:, side]] == place
    return first


def distinct_pairs(links: Int64[np.ndarray, "links 2"], most: int) -> Int64[np.ndarray, " chosen"]:
    """Places of links that share no item, in order: as many as a greedy choice finds, and `most` at the most."""
    chosen = np.flatnonzero(first_occurrences(links))[:most]
    while len(chosen) < most:
        taken = [np.isin(links[:, side], links[chosen, side]) for side in (0, 1)]
        free = np.flatnonzero(~taken[0] & ~taken[1])
        if len(free) == 0:
            break
        more = free[first_occurrences(links[free])]
        chosen = np.sort(np.concatenate([chosen, more[: most - len(chosen)]]))
    return chosen


def epoch_order(links: Int64[np.ndarray, "links 2"], generator: np.random.Generator) -> Int64[np.ndarray, " links"]:
    """A random order of links in which the links of one left item lie far apart.

    Every left item's links are dealt to rounds, one a round, and each round is shuffled, so a
    stretch of a round repeats no left item.
    """
    shuffled = generator.permutation(len(links))
    by_left = shuffled[np.argsort(links[shuffled, 0], kind="stable")]
    left = links[by_left, 0]
    starts = np.flatnonzero(np.r_[True, left[1:] != left[:-1]])
    sizes = np.diff(np.r_[starts, len(left)])
    rounds = np.arange(len(left)) - np.repeat(starts, sizes)
    return by_left[np.lexsort((generator.random(len(left)), rounds))]


def draw_batches(
    links: Int64[np.ndarray, "links 2"], batch_size: int, generator: np.random.Generator
) -> Iterator[Int64[np.ndarray, "batch 2"]]:
    """Batches of one epoch: every link at most once, and no item twice in a batch.

    A link that would repeat an item waits for the next batch. What does not fill a last batch is
    left to the next epoch, whose order is another.

    Args:
        links: (left row, right row).
        batch_size: pairs in each batch.
        generator: source of the order.
    """
    order = epoch_order(links, generator)
    waiting = order[:0]
    position = 0
    while len(waiting) + len(order) - position >= batch_size:
        reach = 2 * batch_size
        while True:
            fresh = order[position : position + reach]
            pool = np.concatenate([waiting, fresh])
            chosen = distinct_pairs(links[pool], batch_size)
            if len(chosen) == batch_size or position + reach >= len(order):
                break
            reach *= 2
        if len(chosen) < batch_size:
            return
        keep = np.ones(len(pool), dtype=bool)
        keep[chosen] = False
        # What lies behind the last chosen link is read again, so the pool stays small.
        last = max(int(chosen[-1]) + 1, len(waiting))
        waiting = pool[:last][keep[:last]]
        position += last - (len(pool) - len(fresh))
        yield links[pool[chosen]]


def largest_batch(links: Int64[np.ndarray, "links 2"]) -> int:
    """No batch can be larger: the number of distinct items on the smaller side."""
    return min(len(np.unique(links[:, 0])), len(np.unique(links[:, 1])))


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
