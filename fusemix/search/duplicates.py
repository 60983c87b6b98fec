"""Near duplicates: items of one modality whose vectors are almost the same, such as the pictures of a burst.

Place in the flow: vectors of a list of results -> who leads whom; an Index -> groups of its positions.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int64

from fusemix.search.folder import Index
from fusemix.search.table import ROW, VECTOR, vectors_in

BLOCK = 256
"""Items that are compared with others at once."""
NEIGHBOURS = 32
"""Of each item that are looked at, in an index that does not compare all; larger groups hang together by chains."""
Pairs = tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]


def leaders_of(
    vectors: Float32[np.ndarray, "items dim"], modalities: Sequence[str], threshold: float
) -> Int64[np.ndarray, " items"]:
    """For each item the place of the first one that it is near to and that leads; its own where it leads itself.

    Args:
        vectors: unit length, in the order of results.
        modalities: of the items; those of two are never near.
        threshold: least cosine of near items.
    """
    kinds = np.asarray(modalities)
    leaders = np.full(len(vectors), -1, dtype=np.int64)
    for place in range(len(vectors)):
        if leaders[place] < 0:
            near = (leaders < 0) & (kinds == kinds[place]) & (vectors @ vectors[place] >= threshold)
            leaders[near] = place
            leaders[place] = place
    return leaders


def duplicate_groups(index: Index, threshold: float, advance: Callable[[int], None]) -> list[list[int]]:
    """Positions of near items, largest group first; groups that share an item are one.

    In an index that does not compare all items, NEIGHBOURS of each are looked at. What is held in memory are some
    numbers an item, and the vectors of an index that compares all, which is small.

    Args:
        index: is asked, and may be added to meanwhile; what is added is left out.
        threshold: least cosine of near items.
        advance: is told of items that are done.
    """
    batches = [
        (batch[ROW].to_numpy(), batch["modality"].to_numpy(zero_copy_only=False)) for batch in index.column("modality")
    ]
    everything = np.concatenate([rows for rows, _ in batches]).astype(np.int64)
    kinds = np.unique(np.concatenate([names for _, names in batches]).astype(str), return_inverse=True)[1]
    order = np.argsort(everything)
    known, kinds = everything[order], kinds[order]
    groups = Groups(len(known))
    for some, others in (_compared if index.is_exact else _searched)(index, threshold, advance):
        first, second = (np.searchsorted(known, one).clip(max=len(known) - 1) for one in (some, others))
        is_meant = (known[first] == some) & (known[second] == others) & (kinds[first] == kinds[second])
        groups.join(first[is_meant], second[is_meant])
    return [known[places].tolist() for places in groups.several()]


def _compared(index: Index, threshold: float, advance: Callable[[int], None]) -> Iterator[Pairs]:
    """Pairs of near items, by comparing all."""
    batches = [
        (batch[ROW].to_numpy().astype(np.int64), _units(vectors_in(batch), index)) for batch in index.column(VECTOR)
    ]
    positions, vectors = np.concatenate([rows for rows, _ in batches]), np.concatenate([some for _, some in batches])
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        rows, columns = np.nonzero(block @ vectors[start:].T >= threshold)
        yield positions[start + rows], positions[start + columns]
        advance(len(block))


def _searched(index: Index, threshold: float, advance: Callable[[int], None]) -> Iterator[Pairs]:
    """Pairs of near items, among the nearest of each."""
    added = index.description.width - index.dim
    for batch in index.column(VECTOR):
        vectors, positions = _units(vectors_in(batch), index), batch[ROW].to_numpy().astype(np.int64)
        for start in range(0, len(vectors), BLOCK):
            block = np.pad(vectors[start : start + BLOCK], ((0, 0), (0, added)))
            found = index.search(block, NEIGHBOURS)
            rows, columns = np.nonzero(found.scores >= threshold)
            yield positions[start + rows], found.positions[rows, columns]
            advance(len(block))


def _units(vectors: Float32[np.ndarray, "items width"], index: Index) -> Float32[np.ndarray, "items dim"]:
    found = vectors[:, : index.dim]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class Groups:
    """Places that hang together (union-find).

    Args:
        size: how many places; each is a group of its own at first.
    """

    def __init__(self, size: int) -> None:
        self._above = np.arange(size)

    def join(self, some: Int64[np.ndarray, " pairs"], others: Int64[np.ndarray, " pairs"]) -> None:
        """Make one group of those of each pair."""
        pairs = np.stack([self._tops(some), self._tops(others)], axis=1)
        for pair in np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0):
            low, high = np.sort(self._tops(pair))
            self._above[high] = low

    def several(self) -> list[Int64[np.ndarray, " places"]]:
        """Groups of more than one place, largest first, then in order of their first."""
        tops = self._tops(np.arange(len(self._above)))
        order = np.argsort(tops, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(tops[order])) + 1)
        return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group[0]))

    def _tops(self, places: Int64[np.ndarray, " some"]) -> Int64[np.ndarray, " some"]:
        """The first place of the group of each."""
        found = self._above[places]
        while (self._above[found] != found).any():
            found = self._above[found]
        self._above[places] = found
        return found
