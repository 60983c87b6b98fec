"""What the server does: search, show, and say what is searched.

Place in the flow: routes of app.py -> Service -> requests.py, batching.py, media.py -> answers.
Not here: routes and what is refused before (app.py, limits.py); what clients of other servers ask (embeddings.py,
knn.py).
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import numpy as np
from anyio import CapacityLimiter, to_thread
from jaxtyping import Float32
from starlette.requests import Request
from starlette.responses import Response

from fusemix.errors import QueryError
from fusemix.models.queries import EMBEDDING, LIKE, Query
from fusemix.search.facets import Facet
from fusemix.search.filters import filter_of, words_of
from fusemix.web.answers import Refusal, json_response, kept_response
from fusemix.web.batching import SENT, Answered, Asked, Batcher
from fusemix.web.budget import Budget
from fusemix.web.decoder import File
from fusemix.web.decoders import Decoders
from fusemix.web.media import SIZES, Media
from fusemix.web.requests import Part, SearchRequest, Terms, encoded, limits, parse, query_of, search_of
from fusemix.wiring.searching.scopes import TEXT
from fusemix.wiring.searching.searcher import Hit

POSITION = re.compile(r"[0-9]{1,12}")
AT_ONCE = 4
"""Requests whose pictures and sounds are decoded at once, and items that are drawn at once."""
MOST_IN_LINE = 64
"""Requests that may wait for their pictures and sounds to be decoded; more are told to come again."""
LARGE_BODY = 1 << 16
"""Bodies up to this size are parsed where they come in; larger ones would hold up other requests."""
TOGETHER = 32
"""Queries of one request for embeddings that are encoded at once, so that others get their turn between."""


class Service:
    """Answers requests about one index.

    Args:
        batcher: with the Searcher.
        most_bytes: of one picture or sound that is sent.
        base_path: with which links begin.
        show_paths: whether results say where on this machine items lie, and not only how their origin names them.
    """

    def __init__(self, batcher: Batcher, most_bytes: int, base_path: str = "", *, show_paths: bool = False) -> None:
        self._batcher, self._searcher, self._most_bytes = batcher, batcher.searcher, most_bytes
        index = self._searcher.index
        self._terms = Terms(self._searcher.modalities, self._searcher.widths, most_bytes, index.find)
        self._base_path, self._show_paths = base_path, show_paths
        self._decoders, self._sent = Decoders(), Budget()
        self._media = Media(self._searcher.content, self._decoders, index.thumbnail)
        self._limiters: dict[str, CapacityLimiter] = {}
        self._version = secrets.token_hex(4)  # positions may mean other items after a restart

    async def search(self, request: Request) -> Response:
        """`POST /api/search`."""
        started = time.perf_counter()
        asked = await self.read(request, parse)
        if asked.batch is None:
            return json_response(await self._answered(asked, started))
        return json_response({"answers": await asyncio.gather(*(self._alone(one, started) for one in asked.batch))})

    async def read(self, request: Request, parse: Callable[[bytes], Any]) -> Any:
        """What the body of a request says.

        Args:
            request: whose body is there.
            parse: makes it out, or refuses.
        """
        body = await request.body()
        return await self._aside("decode", parse, body) if len(body) > LARGE_BODY else parse(body)

    async def _alone(self, data: dict[str, Any], started: float) -> dict[str, Any]:
        """One search of a batch, or why it has no answer; the others have theirs."""
        try:
            return await self._answered(search_of(data), started)
        except Refusal as refusal:
            return {"error": refusal.message, "status": refusal.status}

    async def _answered(self, asked: SearchRequest, started: float) -> dict[str, Any]:
        queries, found = await self.found(
            asked.parts(), asked.k, asked.modality, groups=asked.group_duplicates, given=asked.filter
        )
        return self._answer(asked, queries, found, 1000 * (time.perf_counter() - started))

    async def found(
        self,
        parts: Sequence[Part],
        k: int,
        modality: str | None,
        *,
        groups: bool = False,
        given: Mapping[str, Any] | None = None,
    ) -> tuple[list[Query], Answered]:
        """What parts of a query, added up, find; and the queries that they are.

        Raises:
            Refusal: they cannot be asked, or too much is going on.
        """
        with ExitStack() as held:
            queries = await self._queries(parts, held)
            return queries, await self._asked(Asked(tuple(queries), k, modality, groups, given or {}))

    async def vectors(self, parts: Sequence[Part]) -> Float32[np.ndarray, "parts dim"]:
        """Embeddings, each of one part.

        Raises:
            Refusal: one cannot be read, or too much is going on.
        """
        with ExitStack() as held:
            queries = await self._queries(parts, held)
            some = [queries[first : first + TOGETHER] for first in range(0, len(queries), TOGETHER)]
            return np.concatenate([(await self._asked(Asked(tuple(each), 0))).vectors for each in some])

    async def _asked(self, asked: Asked) -> Answered:
        try:
            return await asyncio.wrap_future(self._batcher.submit(asked))
        except QueryError as error:
            raise Refusal(422, str(error)) from error

    async def _queries(self, parts: Sequence[Part], held: ExitStack) -> list[Query]:
        if all(part.text is not None or part.embedding is not None for part in parts):
            return [query_of(part, self._terms) for part in parts]
        return await self._aside("decode", self._decoded, parts, held)

    def _decoded(self, parts: Sequence[Part], held: ExitStack) -> list[Query]:
        queries = [query_of(part, self._terms) for part in parts]
        files = [File(query.kind, query.content) for query in queries if query.kind in SENT]
        if not files:
            return queries
        contents = iter(held.enter_context(self._decoders.decoded(files, self._sent)))
        return [query._replace(content=next(contents)) if query.kind in SENT else query for query in queries]

    async def _aside(self, kind: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Work in another thread, AT_ONCE of a kind at most."""
        limiter = self._limiters.setdefault(kind, CapacityLimiter(AT_ONCE))
        if kind == "decode" and limiter.statistics().tasks_waiting >= MOST_IN_LINE:
            raise Refusal(503, "too many pictures and sounds at once; try again in a moment", {"retry-after": "2"})
        return await to_thread.run_sync(work, *arguments, limiter=limiter)

    def _answer(self, asked: SearchRequest, queries: Sequence[Query], found: Answered, total: float) -> dict[str, Any]:
        times = {"encode": found.encode_ms, "search": found.search_ms, "total": total}
        parts = [
            self._part(query, vector) | ({} if query.weight == 1 else {"weight": query.weight})
            for query, vector in zip(queries, found.vectors, strict=True)
        ]
        results = self.results(found.hits)
        for result, others in zip(results, found.duplicates or [], strict=found.duplicates is not None):
            result["duplicates"] = self.results(others)
        return {
            "results": results,
            "num_items": found.num_items,
            "cuts": {modality: round(score, 6) for modality, score in found.cuts.items()},
            "took_ms": {step: round(took, 3) for step, took in times.items()},
            "query": {"link": f"{self._base_path}{link(parts, asked.modality, asked.filter)}", "parts": parts},
        }

    def results(self, hits: Sequence[Hit]) -> list[dict[str, Any]]:
        """Hits as they are told."""
        places = self._places([hit.position for hit in hits])
        return [
            {**hit._asdict(), "score": round(hit.score, 6), "media": self._address(hit.position), **place}
            for hit, place in zip(hits, places, strict=True)
        ]

    def _places(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """What is told of where items lie, beyond how their origin names them."""
        if not self._show_paths:
            return [{} for _ in positions]
        return [place._asdict() for place in self._searcher.places(positions)]

    def _address(self, position: int) -> str:
        return f"{self._base_path}/media/{position}?v={self._version}"

    def _part(self, query: Query, vector: Float32[np.ndarray, " dim"]) -> dict[str, Any]:
        """A query as it can be asked again."""
        if query.kind in SENT:
            return {"kind": query.kind, EMBEDDING: encoded(vector)}
        if query.kind == EMBEDDING:
            known = {"embedding_of": query.of} if query.of else {}
            return {"kind": EMBEDDING, EMBEDDING: encoded(query.content / np.linalg.norm(query.content)), **known}
        if query.kind == LIKE:
            return {"kind": LIKE, LIKE: query.content, **self._item(self._terms.find(query.content))}
        return {"kind": query.kind, query.kind: query.content}

    async def media(self, request: Request, position: str) -> Response:
        """`GET /media/{position}`."""
        size = request.query_params.get("size", "small")
        if size not in SIZES:
            raise Refusal(422, f"size must be one of {', '.join(SIZES)}")
        if not POSITION.fullmatch(position) or not self._searcher.index.holds(int(position)):
            raise Refusal(404, "no item of the index has this number")
        found = await self._aside("draw", self._media.get, int(position), size)
        if found is None:
            raise Refusal(404, "this item cannot be shown: its origin is out of reach, or it has no such size")
        is_this_run = request.query_params.get("v") == self._version
        return kept_response(request, found, f"private, {'max-age=86400, immutable' if is_this_run else 'no-cache'}")

    def about(self) -> dict[str, Any]:
        """`GET /api/index`: what is searched, by what, and what the server allows."""
        index = self._searcher.index
        return {
            "name": self._searcher.name,
            "model": self._searcher.model_name,
            "num_items": index.num_items,
            "counts": dict(index.counts),
            "modalities": list(self._searcher.modalities),
            "dim": index.dim,
            "limits": limits(self._most_bytes),
        }

    async def filters(self, request: Request) -> dict[str, Any]:
        """`GET /api/filters`: how many items pass `f` and `of`, and how many would with each further value."""
        asked = request.query_params
        words, is_text = asked.getlist("f"), asked.get("by") == TEXT
        num_items, facets = await self._aside("count", self._passing, asked.get("of"), words, is_text)
        told = [
            {
                "name": one.name,
                "kind": one.kind,
                "values": [{"value": value, "num_items": count} for value, count in one.values],
            }
            for one in facets
        ]
        return {"num_items": num_items, "filters": told}

    def _passing(self, modality: str | None, words: Sequence[str], is_text: bool) -> tuple[int, list[Facet]]:
        queries = [Query(TEXT, "")] if is_text else []
        try:
            given = filter_of(words)
            scope = self._searcher.scope(queries, modality, given)
            every = self._searcher.scope(queries, modality)
            return self._searcher.count(scope), self._searcher.index.facets(given, every.where)
        except QueryError as error:
            raise Refusal(422, str(error)) from error

    def samples(self, count: int) -> list[dict[str, Any]]:
        """Some items at even distances, as results are told, for people who have not asked yet."""
        return [*filter(None, map(self._item, self._searcher.index.spread(count)))]

    def _item(self, position: int | None) -> dict[str, Any]:
        """An item as results tell it, but for its score; nothing where it was removed."""
        items = {} if position is None else self._searcher.index.items_there([position])
        if position is None or position not in items:
            return {}
        item = items[position]
        about = {name: item[name] for name in ("id", "modality", "path")}
        about |= {"captions": item["captions"] or [], "media": self._address(position), **self._places([position])[0]}
        return {"position": position, **about}


def link(parts: Sequence[dict[str, Any]], modality: str | None = None, given: Mapping[str, Any] | None = None) -> str:
    """The address of the page that asks the same, without the base.

    `q` is for texts, `like` for items, `e` for all that became embeddings, `w` for the weight of the one before it,
    `of` for the modality, `f` for filters.

    Args:
        parts: of the query, each with its `kind`.
        modality: what is looked for.
        given: filters.
    """
    pairs = []
    for part in parts:
        kind = part["kind"]
        if EMBEDDING in part:
            pairs.append(("e", f"{kind}.{part[EMBEDDING]}"))
        else:
            pairs.append((LIKE if kind == LIKE else "q", part[kind]))
        if "weight" in part:
            pairs.append(("w", f"{part['weight']:.12g}"))
    pairs += [("of", modality)] if modality else []
    pairs += [("f", word) for word in words_of(given or {})]
    return f"/?{urlencode(pairs)}"
