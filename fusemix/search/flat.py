"""The vectors of a small index in memory: every item is compared with many queries at once.

Place in the flow: table -> Flat, as long as nobody changes the table -> scores and positions of the best.

LanceDB compares one query at a time, and reads all vectors for it again.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from fusemix.search.table import ROW, VECTOR, vectors_in

ROUNDING = 1e-4
"""By which products of matrices may differ from scores, at most; those of unit vectors do by a hundredth of it."""
QUERIES_AT_ONCE = 64
Best = tuple[Float32[np.ndarray, " found"], Int64[np.ndarray, " found"]]
"""Scores and positions of the best items of one query, best first; equal scores in order of position."""


class Flat(NamedTuple):
    """All items of an index.

    Attributes:
        positions: of the items, ascending.
        vectors: of each, with what is added to its scores.
    """

    positions: Int64[np.ndarray, " items"]
    vectors: Float32[np.ndarray, "items width"]

    def passing(self, table: Any, where: str) -> Bool[np.ndarray, " items"]:
        """Which items a filter of the table lets through."""
        rows = table.search().where(where).select(["modality"]).with_row_id(True).to_arrow()[ROW].to_numpy()
        return np.isin(self.positions, rows.astype(np.int64))

    def best(
        self, queries: Float32[np.ndarray, "queries width"], k: int, passing: Bool[np.ndarray, " items"] | None
    ) -> Iterator[Best]:
        """The best `k` items of each query, or all that there are.

        A score is a sum over the numbers of one item in one order, so it depends neither on the place of the item nor
        on the queries beside; products of matrices, which are faster and are not so, choose what is scored.

        Args:
            queries: of unit length, each with weights of what is added.
            k: at least 1.
            passing: items that count; None: all.
        """
        places = np.arange(len(self.positions)) if passing is None else np.flatnonzero(passing)
        vectors = self.vectors if passing is None else self.vectors[places]
        for at in range(0, len(queries), QUERIES_AT_ONCE):
            some = queries[at : at + QUERIES_AT_ONCE]
            for query, rough in zip(some, some @ vectors.T, strict=True):
                near = _first(rough, k)
                scores = (vectors[near] * query).sum(axis=1)
                order = np.argsort(-scores, kind="stable")[:k]
                yield scores[order], self.positions[places[near[order]]]


def _first(rough: Float32[np.ndarray, " items"], k: int) -> Int64[np.ndarray, " some"]:
    """Places of the largest `k` numbers, and of those that rounding may have put behind them, ascending."""
    if len(rough) <= k:
        return np.arange(len(rough))
    rough = np.where(np.isnan(rough), np.float32(np.inf), rough)  # of damaged vectors; to be seen, they come first
    return np.flatnonzero(rough >= np.partition(rough, -k)[-k] - ROUNDING)


def read_flat(table: Any) -> Flat:
    """All items of a table."""
    batches = list(table.search().select([VECTOR]).with_row_id(True).to_batches())
    positions = np.concatenate([batch[ROW].to_numpy() for batch in batches]).astype(np.int64)
    vectors = np.concatenate([vectors_in(batch) for batch in batches])
    if (np.diff(positions) > 0).all():
        return Flat(positions, vectors)
    order = np.argsort(positions)
    return Flat(positions[order], vectors[order])
