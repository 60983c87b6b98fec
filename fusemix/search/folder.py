"""An index on disk, opened: queries -> positions and scores -> items.

Place in the flow: index folder -> Description -> Index.
Not here: what index.json says (description.py), adding to an index (writer.py).
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from fusemix.errors import IndexFolderError
from fusemix.search.description import INDEX, Description, damaged, read_description
from fusemix.search.items import ItemTable
from fusemix.search.vectors import Vectors


class Found(NamedTuple):
    """The best items of each query; position -1, with a score of minus infinity, where there are fewer."""

    scores: Float32[np.ndarray, "queries k"]
    positions: Int64[np.ndarray, "queries k"]

    def best(self, k: int) -> "Found":
        """The first k, best first; equal scores in order of position."""
        order = np.lexsort((self.positions, -self.scores), axis=1)[:, :k]
        return Found(*(np.take_along_axis(field, order, axis=1) for field in self))


class Index:
    """An index, opened. Several threads may ask at once.

    Args:
        folder: of the index.

    Raises:
        IndexFolderError: there is none, or it is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.description = self._required()
        while True:
            try:
                self._open()
                break
            except IndexFolderError:
                before, self.description = self.description, self._required()
                if self.description == before:
                    raise
        sizes = [segment.num_items for segment in self.description.segments]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def _required(self) -> Description:
        description = read_description(self.folder)
        if description is None:
            raise IndexFolderError(
                f"{self.folder} has no {INDEX}, so it is no index. Make one: "
                f"fusemix index --model … --data … --out {self.folder}"
            )
        if not description.segments:
            raise IndexFolderError(
                f"{self.folder} holds no items. Add some: fusemix index --model … --data … --out {self.folder}"
            )
        return description

    def _open(self) -> None:
        """Open what index.json has named; a writer may have replaced it since."""
        self._of_modality: dict[tuple[int, str], Int64[np.ndarray, " items"]] = {}
        self._vectors: list[Vectors] = []
        self._items: list[ItemTable] = []
        for segment in self.description.segments:
            for path, problem in segment.problems(self.folder, whole=False).items():
                raise damaged(path, problem)
            path = segment.file(self.folder, ".faiss")
            added = len(self.description.hub_queries)
            vectors = Vectors(path, segment.num_items, segment.probes, segment.candidates, added)
            if vectors.dim != self.description.width:
                raise damaged(path, f"holds vectors of width {vectors.dim}, not {self.description.width}")
            self._vectors.append(vectors)
            self._items.append(ItemTable(segment.file(self.folder, ".parquet"), segment.num_items))

    @property
    def num_items(self) -> int:
        """In all segments."""
        return int(self._starts[-1])

    @property
    def counts(self) -> dict[str, int]:
        """Modality -> items."""
        return self.description.counts

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.description.dim

    def search(self, queries: Float32[np.ndarray, "queries width"], k: int, modality: str | None = None) -> Found:
        """The best items of each query, by inner product; equal scores in order of position.

        Args:
            queries: unit vectors, each with the weights of the numbers that are added to scores: see
                `Description.hub_queries`.
            k: at least 1; no more are found than there are.
            modality: of what is found; None: any.
        """
        queries = np.ascontiguousarray(queries)
        scores, positions = [np.empty((len(queries), 0), np.float32)], [np.empty((len(queries), 0), np.int64)]
        for number, (start, vectors) in enumerate(zip(self._starts, self._vectors, strict=False)):
            wanted = self._wanted(number, modality)
            if wanted is not None and not len(wanted):
                continue
            some_scores, some = vectors.search(queries, k, wanted)
            scores.append(np.where(some < 0, -np.inf, some_scores).astype(np.float32))
            positions.append(np.where(some < 0, -1, some + start))
        return Found(np.concatenate(scores, axis=1), np.concatenate(positions, axis=1)).best(k)

    def _wanted(self, number: int, modality: str | None) -> Int64[np.ndarray, " items"] | None:
        """Places of the items of a modality in a segment; None where all are."""
        counts = self.description.segments[number].counts
        if modality is None or list(counts) == [modality]:
            return None
        if (number, modality) not in self._of_modality:
            column = self._items[number].column("modality")
            is_wanted = pc.call_function("equal", [column, pa.scalar(modality)]).to_numpy()
            self._of_modality[number, modality] = np.flatnonzero(is_wanted)
        return self._of_modality[number, modality]

    def items(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """What is known of some items, in the order asked for; columns of `items.SCHEMA`.

        Raises:
            IndexError: there is no such position.
        """
        wanted = np.asarray(positions, dtype=np.int64)
        self._require_there(wanted)
        found: dict[int, dict[str, Any]] = {}
        for number, (start, items) in enumerate(zip(self._starts, self._items, strict=False)):
            here = np.flatnonzero((wanted >= start) & (wanted < self._starts[number + 1]))
            if len(here):
                found.update(zip(here.tolist(), items.rows((wanted[here] - start).tolist()), strict=True))
        return [found[place] for place in range(len(wanted))]

    def vectors(self, positions: Sequence[int]) -> Float32[np.ndarray, "positions dim"]:
        """Vectors of some items, of unit length, as exactly as they are kept.

        Raises:
            IndexError: there is no such position.
        """
        found = [self._vectors[segment].take(place, 1) for segment, place in map(self._place, positions)]
        rows = np.concatenate(found)[:, : self.dim]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def find(self, item: str) -> int | None:
        """Position of an id, or None where no item has it."""
        for start, items in zip(self._starts, self._items, strict=False):
            place = items.find(item)
            if place is not None:
                return int(start) + place
        return None

    def columns(self, name: str) -> Iterator[pa.ChunkedArray]:
        """A column of all items, segment by segment."""
        for items in self._items:
            yield items.column(name)

    def segment_content(self, number: int) -> tuple[Float32[np.ndarray, "items width"], pa.Table]:
        """All that is kept of the vectors, and the items, of the segment at a place in the order."""
        return self._vectors[number].take(0, len(self._vectors[number])), self._items[number].table()

    @cached_property
    def is_exact(self) -> bool:
        """Whether every item is compared."""
        return all(segment.probes == 0 for segment in self.description.segments)

    def _require_there(self, positions: Int64[np.ndarray, " some"]) -> None:
        wrong = positions[(positions < 0) | (positions >= self.num_items)]
        if len(wrong):
            raise IndexError(f"there is no item {wrong[0]} among {self.num_items}")

    def _place(self, position: int) -> tuple[int, int]:
        self._require_there(np.array([position]))
        segment = int(np.searchsorted(self._starts, position, side="right")) - 1
        return segment, position - int(self._starts[segment])
