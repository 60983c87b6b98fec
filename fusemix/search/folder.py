"""An index on disk, opened: queries -> positions and scores -> items.

Place in the flow: index folder -> Description and table -> Index.
Not here: what index.json says (description.py), how a table is searched and counted (state.py), adding to an index
(writer.py).
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from fusemix.errors import IndexFolderError
from fusemix.search.description import INDEX, TABLE, Description, damaged, read_description, telling_damage
from fusemix.search.facets import Facet
from fusemix.search.filters import condition_of, conditions_of
from fusemix.search.state import State
from fusemix.search.table import ABOUT, ROW, THUMBNAIL, VECTOR, having, is_of_items, open_table, quoted, vectors_in

MOST_SCORE = 12.0
"""A cosine, and constants and levels besides; more is damage."""
Answer = TypeVar("Answer")


class Found(NamedTuple):
    """The best items of each query; position -1, with a score of minus infinity, where there are fewer."""

    scores: Float32[np.ndarray, "queries k"]
    positions: Int64[np.ndarray, "queries k"]


class Index:
    """An index, opened; what others add, change or remove meanwhile is seen. Several threads may ask at once.

    Args:
        folder: of the index.

    Raises:
        IndexFolderError: there is none, or it is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._state = self._opened()

    def _opened(self) -> State:
        written = self._written()
        description = read_description(self.folder)
        if description is None:
            raise IndexFolderError(
                f"{self.folder} has no {INDEX}, so it is no index. Make one: "
                f"fusemix index --model … --data … --out {self.folder}"
            )
        table = open_table(self.folder)
        if table is None:
            raise IndexFolderError(
                f"{self.folder} holds no items. Add some: fusemix index --model … --data … --out {self.folder}"
            )
        with telling_damage(self.folder / TABLE):
            is_sound = is_of_items(table.schema, description.width)
        if not is_sound:
            raise damaged(self.folder / TABLE, f"is no table of items with vectors of width {description.width}")
        return State(written, description, table, {}, {}, {}, {})

    def _written(self) -> tuple[int, int]:
        try:
            status = (self.folder / INDEX).stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_ino, status.st_mtime_ns

    def _now(self) -> State:
        """The state, read again where index.json was written since."""
        if self._written() != self._state.written:
            self._state = self._opened()
        return self._state

    def _asked(self, question: Callable[[State], Answer]) -> Answer:
        """What the table answers; asked again where another index took its place meanwhile."""
        state = self._now()
        try:
            with telling_damage(self.folder / TABLE):
                return question(state)
        except IndexFolderError:
            if self._written() == state.written:
                raise
        with telling_damage(self.folder / TABLE):
            return question(self._now())

    @property
    def description(self) -> Description:
        """What index.json says."""
        return self._now().description

    @property
    def num_items(self) -> int:
        """That can be found."""
        return self._asked(lambda state: state.table.count_rows())

    @property
    def counts(self) -> dict[str, int]:
        """Modality -> items."""
        held = dict.fromkeys(str(source["modality"]) for source in self.description.sources)
        counts = {one: self.count(f"modality = {quoted(one)}") for one in held}
        return {modality: count for modality, count in counts.items() if count}

    def count(self, where: str) -> int:
        """Items that a filter lets through."""
        return self._asked(lambda state: state.count(where))

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.description.dim

    @property
    def is_exact(self) -> bool:
        """Whether every item is compared."""
        return not self.description.depths

    def condition(self, given: Mapping[str, Any]) -> str | None:
        """What filters are to the table; see filters.py.

        Raises:
            QueryError: there is no such column, or it cannot hold such a value.
        """
        return condition_of(given, self._now().table.schema)

    def facets(self, given: Mapping[str, Any] | None = None, where: str | None = None) -> list[Facet]:
        """What items may be filtered by, each value with how many would be left if it were chosen, too.

        Args:
            given: filters that are chosen already; those on a column do not count for its own values.
            where: what must hold of the items besides.

        Raises:
            QueryError: there is no such column, or it cannot hold such a value.
        """
        return self._asked(lambda state: state.facets(conditions_of(given or {}, state.table.schema), where))

    def search(self, queries: Float32[np.ndarray, "queries width"], k: int, where: str | None = None) -> Found:
        """The best items of each query, by inner product; equal scores in order of position.

        Args:
            queries: unit vectors, each with the weights of the numbers that are added to scores: see
                `Description.hub_queries`.
            k: at least 1; no more are found than there are.
            where: what must hold of what is found; see `condition`.
        """
        lists = self._asked(lambda state: state.best(queries, k, where))
        most = max((len(positions) for _, positions in lists), default=0)
        scores = np.full((len(queries), most), -np.inf, dtype=np.float32)
        positions = np.full((len(queries), most), -1, dtype=np.int64)
        for row, (some_scores, some) in enumerate(lists):
            scores[row, : len(some)], positions[row, : len(some)] = some_scores, some
        if not (np.abs(scores) <= MOST_SCORE * np.linalg.norm(queries, axis=1)[:, None])[positions >= 0].all():
            raise damaged(self.folder / TABLE, "is damaged: a score is beyond what unit vectors have")  # NaN is, too
        return Found(scores, positions)

    def written(self, word: str, most: int, where: str | None = None) -> dict[int, float]:
        """Positions of items of which all runs of a word are written, and their BM25; none in an index of before.

        Args:
            word: as `names.words_asked` gives it.
            most: so many are looked for.
            where: what must hold of the items.
        """
        return self._asked(lambda state: having(state.table, word, most, where))

    def scores(
        self, query: Float32[np.ndarray, " width"], positions: Sequence[int]
    ) -> Float32[np.ndarray, " positions"]:
        """Scores of some items for one query, as `search` gives them; minus infinity of those that were removed."""
        rows, places = self._rows(positions, [VECTOR])
        found = np.append(vectors_in(rows) @ query, np.float32(-np.inf))
        return found[[places.get(int(position), -1) for position in positions]]

    def items(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """What is known of some items, in the order asked for; columns of `table.ABOUT`.

        Raises:
            IndexError: there is no such position, or none any more.
        """
        found = self.items_there(positions)
        _require(positions, found)
        return [found[int(position)] for position in positions]

    def items_there(self, positions: Sequence[int]) -> dict[int, dict[str, Any]]:
        """What is known of those of some items that nobody has removed, by position."""
        rows, places = self._rows(positions, ABOUT.names)
        return dict(zip(places, rows.drop_columns([ROW]).to_pylist(), strict=True))

    def thumbnail(self, position: int) -> tuple[str, bytes] | None:
        """Modality of an item, and its thumbnail, as whoever made the index left it.

        Returns:
            None where it has no thumbnail, or was removed.
        """
        there = self._asked(lambda state: state.table.schema.names)
        rows, _ = self._rows([position], [name for name in ("modality", THUMBNAIL) if name in there])
        found = rows.to_pylist()
        if not found or not isinstance(thumbnail := found[0].get(THUMBNAIL), bytes):
            return None
        return found[0]["modality"], thumbnail

    def vectors(self, positions: Sequence[int]) -> Float32[np.ndarray, "positions dim"]:
        """Vectors of some items, of unit length, as exactly as they are kept.

        Raises:
            IndexError: there is no such position, or none any more.
        """
        rows, places = self._rows(positions, [VECTOR])
        _require(positions, places)
        return self._unit(rows)[[places[int(position)] for position in positions]]

    def vectors_there(
        self, positions: Sequence[int]
    ) -> tuple[Int64[np.ndarray, " there"], Float32[np.ndarray, "there dim"]]:
        """Those of some positions, each once and in their order, that nobody has removed; and vectors, as `vectors`."""
        rows, places = self._rows(positions, [VECTOR])
        there = [position for position in dict.fromkeys(map(int, positions)) if position in places]
        return np.array(there, dtype=np.int64), self._unit(rows)[[places[position] for position in there]]

    def _unit(self, rows: pa.Table) -> Float32[np.ndarray, "rows dim"]:
        found = vectors_in(rows)[:, : self.dim]
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def _rows(self, positions: Sequence[int], columns: Sequence[str]) -> tuple[pa.Table, dict[int, int]]:
        """Rows of those of some items that are there, each once; and position -> place among them, in their order."""
        wanted = list(dict.fromkeys(int(position) for position in positions if position >= 0))

        def taken(state: State) -> pa.Table:
            return state.table.take_row_ids(wanted).with_row_id().select(list(columns)).to_arrow()

        rows = self._asked(taken)
        return rows, {number: place for place, number in enumerate(rows[ROW].to_pylist())}

    def holds(self, position: int) -> bool:
        """Whether an item has that position."""
        return bool(self.items_there([position]))

    def find(self, item: str) -> int | None:
        """Position of an id, or None where no item has it."""

        def asked(state: State) -> pa.Table:
            where = f"id = {quoted(item)}"
            return state.table.search().where(where).with_row_id(True).select(["id"]).limit(1).to_arrow()

        rows = self._asked(asked)[ROW].to_pylist()
        return rows[0] if rows else None

    def spread(self, count: int) -> list[int]:
        """Positions of some items at even distances, the first one of equal ones; fewer where there are fewer."""
        size = self.num_items
        offsets = sorted({(2 * place + 1) * size // (2 * count) for place in range(count)})
        taken = self._asked(lambda state: state.table.take_offsets(offsets).with_row_id().select(["id"]).to_arrow())
        return taken[ROW].to_pylist()

    def columns(self, names: Sequence[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        """Batches with columns of all items, or of those that a filter lets through, and their positions."""
        with telling_damage(self.folder / TABLE):
            asked = self._now().table.search().select(list(names)).with_row_id(True)
            yield from (asked if where is None else asked.where(where)).to_batches()


def _require(positions: Sequence[int], there: Container[int]) -> None:
    gone = [position for position in positions if position not in there]
    if gone:
        raise IndexError(f"there is no item {gone[0]}")
