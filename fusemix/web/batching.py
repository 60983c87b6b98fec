"""Requests that come in at the same time are encoded and searched together, as one by one would be slower for all.

Place in the flow: queries of a request -> Batcher.submit -> the one thread that asks the Searcher -> Future[Answered].

Nothing waits for others to come: what is there when the thread is free goes together, so a single request is as
fast as without. Results do not depend on who asks meanwhile, but for the last bits of a score.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from fusemix.errors import QueryError
from fusemix.models.queries import Query, summed
from fusemix.web.answers import Refusal
from fusemix.wiring.searching.grouping import grouped
from fusemix.wiring.searching.queries import written_in
from fusemix.wiring.searching.scopes import Scope
from fusemix.wiring.searching.searcher import Hit, Searcher
from fusemix.wiring.searching.spaces import Cuts

MOST_TOGETHER = 64
"""Queries that are encoded together at most, unless one request holds more."""
MOST_WAITING = 256
"""Requests that may wait; more are told to come again."""
SENT = ("image", "audio")
"""Kinds of queries that cannot be asked again by a link, but through their embeddings."""


class Asked(NamedTuple):
    """One request.

    Attributes:
        queries: that are added up.
        k: how many items to list; 0 wants vectors alone.
        modality: of the items; see `Searcher.scope`.
        groups: whether near duplicates are one item.
        given: filters.
    """

    queries: tuple[Query, ...]
    k: int
    modality: str | None = None
    groups: bool = False
    given: Mapping[str, Any] = {}  # never changed


class Sum(NamedTuple):
    """What one request is searched by, and among which items."""

    vector: Float32[np.ndarray, " width"]
    scope: Scope
    words: list[str]
    cuts: Cuts


class Answered(NamedTuple):
    """What one request gets.

    Attributes:
        hits: best first.
        num_items: that were looked among.
        vectors: of the queries, as they were searched by; where nothing was, as the model gives them.
        encode_ms, search_ms: of the batch that it was in.
        cuts: see `Searcher.cuts`.
        duplicates: of each hit, where these were grouped.
    """

    hits: list[Hit]
    num_items: int
    vectors: Float32[np.ndarray, "queries dim"]
    encode_ms: float
    search_ms: float
    cuts: Cuts
    duplicates: list[list[Hit]] | None = None


class Batcher:
    """Asks a Searcher in a thread of its own, for as long as the `with` block lasts.

    Args:
        searcher: is asked by this thread alone.
        most_together: see MOST_TOGETHER; 1 answers one request after another.
        most_waiting: see MOST_WAITING.
    """

    def __init__(
        self, searcher: Searcher, most_together: int = MOST_TOGETHER, most_waiting: int = MOST_WAITING
    ) -> None:
        self.searcher, self._most_together, self._most_waiting = searcher, most_together, most_waiting
        self._waiting: deque[tuple[Asked, Future[Answered]]] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._tell: Callable[[Sequence[Query]], None] | None = None
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)

    def __enter__(self) -> "Batcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def watched_by(self, tell: Callable[[Sequence[Query]], None]) -> None:
        """Have the queries of each batch told to somebody, when it is answered."""
        self._tell = tell

    def submit(self, asked: Asked) -> Future[Answered]:
        """Put a request in the queue.

        Returns:
            Its answer, or the QueryError that says why there is none.

        Raises:
            Refusal: 503, too many are waiting.
        """
        future: Future[Answered] = Future()
        with self._changed:
            if len(self._waiting) >= self._most_waiting or self._is_closed:
                raise Refusal(503, "too many requests are waiting; try again in a moment", {"retry-after": "1"})
            self._waiting.append((asked, future))
            self._changed.notify()
        return future

    def _work(self) -> None:
        while batch := self._next():
            batch = [(asked, future) for asked, future in batch if future.set_running_or_notify_cancel()]
            if not batch:  # all gave up
                continue
            found: Sequence[Answered | Exception]
            try:
                found = answered(self.searcher, [asked for asked, _ in batch])
            except Exception as error:  # told to each who waits; the thread must live on
                found = [error] * len(batch)
            if self._tell:
                self._tell([query for asked, _ in batch for query in asked.queries])
            for (_, future), result in zip(batch, found, strict=True):
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    def _next(self) -> list[tuple[Asked, Future[Answered]]]:
        """Waiting requests with no more queries than go together, at least one; none when all is over."""
        batch: list[tuple[Asked, Future[Answered]]] = []
        size = 0
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            while self._waiting and (not batch or size + len(self._waiting[0][0].queries) <= self._most_together):
                batch.append(self._waiting.popleft())
                size += len(batch[-1][0].queries)
        return batch


def answered(searcher: Searcher, batch: Sequence[Asked]) -> list[Answered | QueryError]:
    """Answer requests together; one that cannot be answered leaves the others alone."""
    started = time.perf_counter()
    vectors, errors = _encoded(searcher, batch)
    sums: dict[int, Sum] = {}
    for place, each in vectors.items():
        if not batch[place].k:
            continue
        try:
            queries = batch[place].queries
            scope = searcher.scope(queries, batch[place].modality, batch[place].given)
            total = summed(each, searcher.weights(queries), [query.weight for query in queries])
            sums[place] = Sum(total, scope, written_in(queries), searcher.cuts(queries, scope))
        except QueryError as error:
            errors[place] = error
    encoded = time.perf_counter()
    lists = _searched(searcher, batch, {place: one for place, one in sums.items() if not batch[place].groups})
    some = {
        place: grouped(searcher, one.vector, batch[place].k, one.scope, one.words)
        for place, one in sums.items()
        if batch[place].groups
    }
    sizes = {scope: searcher.count(scope) for scope in dict.fromkeys(one.scope for one in sums.values())}
    times = (1000 * (encoded - started), 1000 * (time.perf_counter() - encoded))
    return [
        errors[place]
        if place in errors
        else Answered(
            some[place].hits if place in some else lists.get(place, [])[: asked.k],
            sizes[sums[place].scope] if place in sums else 0,
            vectors[place],
            *times,
            sums[place].cuts if place in sums else {},
            some[place].duplicates if place in some else None,
        )
        for place, asked in enumerate(batch)
    ]


def _searched(searcher: Searcher, batch: Sequence[Asked], sums: Mapping[int, Sum]) -> dict[int, list[Hit]]:
    """What each request finds, by its place; those that look among the same items are searched together."""
    found: dict[int, list[Hit]] = {}
    for scope in dict.fromkeys(one.scope for one in sums.values()):
        places = [place for place, one in sums.items() if one.scope == scope]
        most = max(batch[place].k for place in places)
        words = [sums[place].words for place in places]
        lists = searcher.search(np.stack([sums[place].vector for place in places]), most, scope, words)
        found.update(zip(places, lists, strict=True))
    return found


def _encoded(
    searcher: Searcher, batch: Sequence[Asked]
) -> tuple[dict[int, Float32[np.ndarray, "queries dim"]], dict[int, QueryError]]:
    """Vectors of each request by its place; or why it has none."""
    queries = [query for asked in batch for query in asked.queries]
    try:
        vectors = searcher.embed(queries)
    except QueryError as error:
        if len(batch) == 1:
            return {}, {0: error}
        alone = [_encoded(searcher, [asked]) for asked in batch]
        found = {place: one[0][0] for place, one in enumerate(alone) if one[0]}
        return found, {place: one[1][0] for place, one in enumerate(alone) if one[1]}
    is_searched = [bool(asked.k) for asked in batch for _ in asked.queries]
    for place, query in enumerate(queries):
        if query.kind in SENT and is_searched[place]:
            vectors[place] = halved(vectors[place])
    ends = np.cumsum([len(asked.queries) for asked in batch])[:-1]
    return dict(enumerate(np.split(vectors, ends))), {}


def halved(vector: Float32[np.ndarray, " dim"]) -> Float32[np.ndarray, " dim"]:
    """A unit vector in half precision, as links hold it, and made unit again: so a link finds what its query found."""
    rounded = vector.astype(np.float16).astype(np.float32)
    return rounded / np.float32(np.linalg.norm(rounded))
