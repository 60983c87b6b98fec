"""An index that is searched from Python.

Place in the flow: index folder -> SearchIndex.search(queries) -> Hits, which show themselves in a notebook.
Not here: how an index is searched (wiring/searching/searcher.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from fusemix.api.showing import as_text, frame
from fusemix.commands.search import BELOW, NOTHING_FITS, table
from fusemix.errors import QueryError
from fusemix.media import data_uri, fitted, jpeg
from fusemix.models.queries import LIKE, Query, summed, told
from fusemix.wiring.searching.fitting import fits, num_above
from fusemix.wiring.searching.grouping import grouped
from fusemix.wiring.searching.queries import written_in
from fusemix.wiring.searching.searcher import Hit, Searcher
from fusemix.wiring.searching.spaces import Cuts

SHOWN_PX, QUALITY = 96, 85
"""Side of a picture beside its hit, and of its JPEG."""


class SearchIndex:
    """An index, opened with the model that made it.

    Args:
        folder: of the index.
        **how: `model`, `device`, `trust_code`, `hub_correction`, as for `fusemix search`.

    Attributes:
        folder: as given.

    Raises:
        FusemixError: there is no such index, its model is gone, or it names code that is not trusted.
    """

    def __init__(self, folder: str | Path, **how: Any) -> None:
        self.folder = Path(folder)
        self._searcher = Searcher(folder, **how)

    def __len__(self) -> int:
        return self._searcher.index.num_items

    def __repr__(self) -> str:
        return f"fusemix.SearchIndex({str(self.folder)!r}: {len(self):,} items)"

    def search(
        self,
        text: Any = None,
        *,
        image: Any = None,
        audio: Any = None,
        like: Any = None,
        weights: Sequence[int | float] | None = None,
        k: int = 10,
        modality: str | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - as everywhere
        group_duplicates: bool = False,
    ) -> "Hits":
        """The items that are nearest, best first; several queries are added up.

        Args:
            text: a text or a list of them.
            image: a picture or a list of them: paths, bytes, PIL images or arrays.
            audio: a sound or a list of them: paths, bytes, or `fusemix.Waveform`s.
            like: id of an item of the index, or a list of them.
            weights: by which each of these counts in the sum, in this order: numbers from -100 to 100, other than 0;
                None: all alike.
            k: at most so many.
            modality: what to find, such as `image`, in an index that holds several, or `any`; None: any, but no texts
                where a text asks and there is something else.
            filter: column -> what it must hold: a value, a list of values of which one will do, or a range, such as
                `{"folder": "2023", "taken": {"from": "2023-05"}, "rating": {"min": 3}}`; see docs/searching.md.
            group_duplicates: make near duplicates one hit, which names the others in `duplicates`: a list of hits.

        Raises:
            QueryError: nothing was asked, a query cannot be read, an id, a modality or a column is not there, or
                there is not one such weight for each query.
            RunError: the model cannot encode a modality.

        In the examples, `index` is one of pictures.

        >>> hits = index.search("a red bar", k=2)
        >>> [hit.modality for hit in hits], hits[0].score >= hits[1].score
        (['image', 'image'], True)
        """
        asked = {"text": text, "image": image, "audio": audio, LIKE: like}
        queries = [Query(kind, one) for kind, given in asked.items() if given is not None for one in _listed(given)]
        if not queries:
            raise QueryError('nothing to search for. Give a text, as in search("a dog"), or image=, audio=, like=.')
        if k < 1:
            raise QueryError(f"k is {k}, but must be at least 1.")
        queries = _weighted(queries, [1] * len(queries) if weights is None else weights)
        scope = self._searcher.scope(queries, modality, filter)
        vector = summed(self._searcher.embed(queries), self._searcher.weights(queries), [one.weight for one in queries])
        title = told(queries, lambda content: content if isinstance(content, str) else "…")
        words, cuts = written_in(queries), self._searcher.cuts(queries, scope)
        if group_duplicates:
            found = grouped(self._searcher, vector, k, scope, words)
            return Hits(map(GroupedHit.of, found.hits, found.duplicates), self._searcher, title, cuts)
        (hits,) = self._searcher.search(vector[None], k, scope, [words])
        return Hits(hits, self._searcher, title, cuts)


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list) else [given]


def _weighted(queries: Sequence[Query], weights: Sequence[int | float]) -> list[Query]:
    if len(weights) != len(queries):
        raise QueryError(
            f"weights has {len(weights)} numbers, but there are {len(queries)} queries; give one for each."
        )
    return [query._replace(weight=float(weight)) for query, weight in zip(queries, weights, strict=True)]


class GroupedHit(Hit):
    """A hit that its near duplicates stand behind.

    Attributes:
        duplicates: the others of its group, best first.
    """

    duplicates: list[Hit]

    @classmethod
    def of(cls, hit: Hit, duplicates: list[Hit]) -> "GroupedHit":
        """A hit, and the others of its group."""
        found = cls(*hit)
        found.duplicates = duplicates
        return found


class Hits(list[Hit]):
    """What was found, best first: `id`, `score`, `modality`, `path`, `captions` of each, and `duplicates` if grouped.

    Args:
        hits: best first.
        searcher: that found them, and can show them.
        title: what was asked.
        cuts: modality of items -> score below which they are more likely wrong than right, as far as it is known.

    Attributes:
        cuts: as given.
    """

    def __init__(self, hits: Iterable[Hit], searcher: Searcher, title: str, cuts: Cuts) -> None:
        super().__init__(hits)
        self._searcher, self._title, self.cuts = searcher, title, cuts

    @property
    def fitting(self) -> list[Hit]:
        """Those that do not score below their cut; all where it is not known."""
        return [hit for hit in self if fits(hit, self.cuts)]

    def to_pandas(self) -> Any:
        """A DataFrame, a row a hit.

        Raises:
            ConfigError: pandas is not installed.
        """
        columns = {name: [getattr(hit, name) for hit in self] for name in Hit._fields}
        return frame(columns if self._duplicates is None else {**columns, "duplicates": self._duplicates})

    @property
    def _duplicates(self) -> list[list[Hit]] | None:
        found = [hit.duplicates for hit in self if isinstance(hit, GroupedHit)]
        return found or None

    def content(self, place: int) -> Any:
        """The item of a hit: a picture, a sound or a text; None where it was removed, or is out of reach."""
        return self._searcher.content(self[place].position)

    def __repr__(self) -> str:
        places = self._searcher.places([hit.position for hit in self])
        return as_text(table(self, places, self._title, self.cuts, self._duplicates))

    def _repr_html_(self) -> str:
        rows = [self._row(place, hit) for place, hit in enumerate(self)]
        if (line := num_above(self, self.cuts)) < len(self):
            rows.insert(line, f'<tr><td colspan="4"><i>{NOTHING_FITS if line == 0 else BELOW}</i></td></tr>')
        return f"<p>{escape(self._title)}</p><table>{''.join(rows)}</table>"

    def _row(self, place: int, hit: Hit) -> str:
        content = self.content(place)
        seen = escape(hit.id)
        if isinstance(content, Image.Image):
            address = data_uri("image/jpeg", jpeg(fitted(content, SHOWN_PX), QUALITY))
            seen = f'<img style="max-width:{SHOWN_PX}px;max-height:{SHOWN_PX}px" src="{address}"/>'
        words = escape(hit.captions[0] if hit.captions else hit.id)
        if isinstance(hit, GroupedHit) and hit.duplicates:
            words += f"<br>and {len(hit.duplicates):,} almost the same"
        return f"<tr><td>{place + 1}</td><td>{hit.score:.3f}</td><td>{seen}</td><td>{words}</td></tr>"
