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
PIECE = 25_000
"""Items whose vectors are held in memory."""
IN_CELL, NEAREST = 1_000, 3
"""In an index that does not compare all: items for one around which a cell lies, and cells that each item is in."""
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

    What is held in memory are some numbers an item, and PIECE vectors twice.

    Args:
        index: is asked, and may change meanwhile; what is added is left out, and what is removed from then on.
        threshold: least cosine of near items.
        advance: is told of items that are done.
    """
    known, kinds = _kinds(index)
    groups = Groups(len(known))
    for cell, own in _cells(index, known):
        for some, others in _near_pairs(index, cell, threshold):
            first, second = (np.searchsorted(known, one).clip(max=len(known) - 1) for one in (some, others))
            is_meant = (known[first] == some) & (known[second] == others) & (kinds[first] == kinds[second])
            groups.join(first[is_meant], second[is_meant])
        advance(own)
    return [known[places].tolist() for places in groups.several()]


def _kinds(index: Index) -> tuple[Int64[np.ndarray, " items"], Int64[np.ndarray, " items"]]:
    """All positions in order, and a number of the modality of each."""
    batches = list(index.columns(["modality"]))
    positions = np.concatenate([batch[ROW].to_numpy() for batch in batches]).astype(np.int64)
    names = np.concatenate([batch["modality"].to_numpy(zero_copy_only=False) for batch in batches]).astype(str)
    order = np.argsort(positions)
    return positions[order], np.unique(names, return_inverse=True)[1][order]


def _cells(index: Index, known: Int64[np.ndarray, " items"]) -> Iterator[tuple[Int64[np.ndarray, " cell"], int]]:
    """Positions that are compared with one another, and how many of them are at their first place here.

    All with all where the index does that, too; else around some of the items, each of all items around the NEAREST.
    """
    if index.is_exact:
        yield known, len(known)
        return
    _, centres = index.vectors_there(index.spread(-(-len(known) // IN_CELL)))
    positions, nearest = [], []
    for batch in index.columns([VECTOR]):
        vectors = vectors_in(batch)[:, : index.dim]
        positions.append(batch[ROW].to_numpy().astype(np.int64))
        for start in range(0, len(vectors), BLOCK):
            scores = vectors[start : start + BLOCK] @ centres.T
            nearest.append(np.argsort(-scores, axis=1)[:, :NEAREST].astype(np.int32))
    everything, cells = np.concatenate(positions), np.concatenate(nearest)
    rows = np.argsort(cells, axis=None, kind="stable")
    ends = np.flatnonzero(np.diff(cells.ravel()[rows])) + 1
    for members in np.split(rows, ends):
        places, ranks = np.divmod(members, cells.shape[1])
        yield everything[places], int((ranks == 0).sum())


def _near_pairs(index: Index, cell: Int64[np.ndarray, " cell"], threshold: float) -> Iterator[Pairs]:
    pieces = [cell[start : start + PIECE] for start in range(0, len(cell), PIECE)]
    for number, piece in enumerate(pieces):
        some, vectors = index.vectors_there(piece.tolist())
        for other in pieces[number:]:
            more, others = (some, vectors) if other is piece else index.vectors_there(other.tolist())
            for start in range(0, len(some), BLOCK):
                rows, columns = np.nonzero(vectors[start : start + BLOCK] @ others.T >= threshold)
                yield some[start + rows], more[columns]


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
