"""Searching, wired: queries of any modality -> the items of an index that are nearest.

Place in the flow: Index + the model that made it -> Searcher: queries -> vectors -> hits.
Not here: what a query is, and how several are one (queries.py).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32

from fusemix.encoders.decoding import decode
from fusemix.encoders.given import Given
from fusemix.errors import EncoderError, QueryError
from fusemix.interfaces import Content
from fusemix.models.places import Place, place_of
from fusemix.models.queries import EMBEDDING, LIKE, Query
from fusemix.search.folder import Index
from fusemix.search.written import search_written
from fusemix.wiring.searching.index_model import model_of_index
from fusemix.wiring.searching.origins import Decode, Reader, reader_of, why_unseen
from fusemix.wiring.searching.queries import written_in
from fusemix.wiring.searching.scopes import TEXT, Scope, everything, scope_of
from fusemix.wiring.searching.spaces import cuts_of, index_queries, weights_of

Answer = TypeVar("Answer")


class Hit(NamedTuple):
    """An item that was found.

    Attributes:
        position: in the index; items that are added later do not change it.
        score: cosine with the query, or with the sum of several; less the item's constant where hubs are corrected, and
            less the level of its modality where several modalities are ranked together.
        id: of the item.
        modality: of the item.
        path: as its origin names it, for people; `Searcher.places` says where that is.
        captions: what is known of it in words.
    """

    position: int
    score: float
    id: str
    modality: str
    path: str | None
    captions: list[str]


class Searcher:
    """Searches an index with the model that made it. Several threads may search at once.

    Args:
        folder: of the index.
        model: where the model is now; None looks where it was.
        device: to embed queries on; `auto` takes a GPU where there is one.
        trust_code: run code that the model, or what was indexed, names where it is not fusemix's own.
        hub_correction: take from scores what the index keeps of hubs; false ranks by cosines.

    Attributes:
        index: opened.
        embedder: the model.
        unseen: why items of some origins are not shown: their data sets are not fusemix's own, and not trusted.

    Raises:
        UntrustedCodeError: the model names code that is not fusemix's own, and that is not trusted.
        IndexFolderError: there is no such index, or it is damaged.
        RunError: its model is gone, or has changed.
    """

    def __init__(
        self,
        folder: str | Path,
        model: str | Path | None = None,
        device: str = "auto",
        *,
        trust_code: bool = False,
        hub_correction: bool = True,
    ) -> None:
        self.index, self._corrects, self._trust_code = Index(folder), hub_correction, trust_code
        self.embedder = model_of_index(self.index, model, device, trust_code)
        self._model, self._readers = self.index.description.model["sha256"], dict[str, Reader]()
        self.unseen = [] if trust_code else [why for why in map(why_unseen, self.index.description.sources) if why]

    @property
    def name(self) -> str:
        """Of the index, for people."""
        return self.index.folder.resolve().name

    @property
    def model_name(self) -> str:
        """Of the model that made the index, for people: its folder."""
        return PurePath(self.index.description.model["name"]).name

    @property
    def modalities(self) -> tuple[str, ...]:
        """What may be asked by."""
        return self.embedder.modalities

    def load(self, modalities: Sequence[str] | None = None) -> None:
        """Load encoders now, rather than at the first query; all of them by default.

        Raises:
            RunError: one cannot be loaded, or the model knows nothing of a modality.
        """
        for modality in self.modalities if modalities is None else modalities:
            self.embedder.encoders(modality)

    def embed(self, queries: Sequence[Query]) -> Float32[np.ndarray, "queries dim"]:
        """Unit vectors of queries; those of one modality are encoded together.

        Raises:
            QueryError: one cannot be read, or is not in the index; the message is about the first such.
            RunError: the model knows nothing of a modality.
        """
        vectors = np.empty((len(queries), self.index.dim), dtype=np.float32)
        for kind in dict.fromkeys(query.kind for query in queries):
            places = [place for place, query in enumerate(queries) if query.kind == kind]
            vectors[places] = self._embedded(kind, [queries[place].content for place in places])
        return vectors

    def weights(self, queries: Sequence[Query]) -> Float32[np.ndarray, "queries added"]:
        """How much counts for each query of what the index adds to scores, by the modality that asks.

        Raises:
            QueryError: an item is not in the index.
        """
        modalities = [self._modality(query) if self._corrects else None for query in queries]
        return weights_of(modalities, self.index.description)

    def _modality(self, query: Query) -> str | None:
        if query.kind == LIKE:
            return self._looked_up(self.index.items, [query.content])[0]["modality"]
        return query.of if query.kind == EMBEDDING else query.kind

    def _embedded(self, kind: str, contents: list[Any]) -> Float32[np.ndarray, "contents dim"]:
        if kind == LIKE:
            return self._looked_up(self.index.vectors, contents)
        if kind == EMBEDDING:
            return np.concatenate([self._unit(vector) for vector in contents])
        self.embedder.trained.require_known(kind)
        try:
            found = self.embedder.embed(kind, Given(contents, kind, None), batch_size=len(contents))
        except EncoderError as error:
            raise QueryError(str(error)) from error
        return index_queries(found, self.index.description)

    def _looked_up(self, ask: Callable[[list[int]], Answer], ids: Sequence[str]) -> Answer:
        """What the index says of items that a query names; where one is removed meanwhile, it is not in the index."""
        try:
            return ask([self._position(item) for item in ids])
        except IndexError:
            return self._looked_up(ask, ids)

    def _position(self, item: str) -> int:
        position = self.index.find(item)
        if position is None:
            raise QueryError(f"no item of the index has the id {item!r}.")
        return position

    @property
    def widths(self) -> tuple[int, ...]:
        """Of embeddings that may be asked by: the index's, and the model's where that is another."""
        return tuple(dict.fromkeys([self.index.dim, self.embedder.dim]))

    @property
    def can_be_cut(self) -> bool:
        """Whether the first numbers of an embedding are those that say most."""
        return self.embedder.trained.model.rotation is not None

    def _unit(self, vector: Any) -> Float32[np.ndarray, "1 dim"]:
        found = np.asarray(vector, dtype=np.float32)
        length = float(np.linalg.norm(found)) if found.shape in [(width,) for width in self.widths] else 0.0
        if not 0 < length < np.inf:
            many = " or ".join(map(str, self.widths))
            raise QueryError(f"an embedding must be {many} finite numbers that are not all zero.")
        return index_queries(found[None] / np.float32(length), self.index.description)

    def scope(
        self, queries: Sequence[Query], modality: str | None = None, given: Mapping[str, Any] | None = None
    ) -> Scope:
        """What some queries look among, which are added up; see `scope_of`."""
        is_text = any(TEXT in (query.kind, query.of) for query in queries)
        return scope_of(self.index, modality, given or {}, is_text=is_text)

    def cuts(self, queries: Sequence[Query], scope: Scope) -> dict[str, float]:
        """The score, by modality of items, below which what some queries find is more likely wrong than right.

        It is known for what validation asked: one query of a modality, and nothing that is looked for as it is written.
        """
        if len(queries) != 1 or queries[0].weight <= 0 or written_in(queries):
            return {}
        asking = self._modality(queries[0])
        if asking is None:
            return {}
        trained = self.embedder.trained
        return cuts_of(asking, scope.modalities, self.index.description, trained, corrects=self._corrects)

    def count(self, scope: Scope) -> int:
        """Items that are looked among."""
        return self.index.num_items if scope.where is None else self.index.count(scope.where)

    def search(
        self,
        vectors: Float32[np.ndarray, "queries width"],
        k: int,
        scope: Scope | None = None,
        words: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Hit]]:
        """The best items for each vector, best first; without those that were removed while it searched.

        Args:
            vectors: as `summed` gives them.
            k: at least 1; no more are found than there are.
            scope: what is looked among; None: all items.
            words: for each what is looked for as it is written, as `written_in` gives it; None: nothing is.
        """
        if self.index.description.model["sha256"] != self._model:
            raise QueryError("the index was made again with another model; open it again, or start the server again.")
        scope = everything(self.index) if scope is None else scope
        scores, positions = search_written(self.index, vectors, k, scope.where, words or [])
        scores = scores + self._levels(vectors, scope.modalities)[:, None]
        items = self.index.items_there(positions[positions >= 0].tolist())
        return [
            [_hit(*pair, items[pair[0]]) for pair in zip(*both, strict=True) if pair[0] in items]
            for both in zip(positions.tolist(), scores.tolist(), strict=True)
        ]

    def _levels(
        self, vectors: Float32[np.ndarray, "queries width"], modalities: Sequence[str]
    ) -> Float32[np.ndarray, " queries"]:
        """What is taken from all scores alike where one modality alone is ranked; nothing where several are."""
        if len(modalities) > 1:
            return np.zeros(len(vectors), dtype=np.float32)
        about = self.index.description
        return vectors[:, about.dim :] @ np.array(about.levels(modalities[0]), dtype=np.float32)

    def places(self, positions: Sequence[int]) -> list[Place]:
        """Where some items lie, on this machine; nowhere those that were removed."""
        origins, folder, items = self.index.description.sources, self.index.folder, self.index.items_there(positions)
        return [
            place_of(origins[items[one]["source"]], items[one], folder) if one in items else Place(None)
            for one in positions
        ]

    def content(self, position: int, decode: Decode = decode) -> Content | None:
        """An item as it is decoded: a picture, a sound or a text; None where it was removed, or cannot be reached.

        Args:
            position: in the index.
            decode: what decodes it.
        """
        item = self.index.items_there([position]).get(position)
        if item is None:
            return None
        origin = self.index.description.sources[item["source"]]  # which may have come, or moved, since it was opened
        if (name := repr(origin)) not in self._readers:
            self._readers[name] = reader_of(origin, self.index.folder, self._trust_code)
        return self._readers[name](item, decode)


def _hit(position: int, score: float, item: dict[str, Any]) -> Hit:
    return Hit(position, score, item["id"], item["modality"], item["path"], item["captions"] or [])
