"""What a server tells of its requests: figures for Prometheus, and a line each for a log.

Place in the flow: uvicorn -> … -> Watched -> the application; batches of queries -> Metrics -> GET /metrics.

Neither holds what was asked, nor a path as it was sent: words are private, and paths without end would fill any memory.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Total
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fusemix.models.queries import Query
from fusemix.visible import visible

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TOGETHER = (1, 2, 4, 8, 16, 32, 64)
METHODS = ("GET", "HEAD", "POST")
OTHER = "other"
GONE = 499
"""Status of a request whose client left before it was answered, as nginx counts it."""
LONGEST_ADDRESS = 64
log = logging.getLogger("fusemix.access")


class Metrics:
    """Figures of one server, apart from those of any other in this process.

    Args:
        counts: items of the index by modality.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._registry = CollectorRegistry()
        kept: dict[str, Any] = {"registry": self._registry}
        self.requests = Total("fusemix_requests", "Requests answered", ["route", "method", "status"], **kept)
        self.seconds = Histogram("fusemix_request_seconds", "Time to answer", ["route"], buckets=SECONDS, **kept)
        self.in_flight = Gauge("fusemix_requests_in_flight", "Requests being answered", **kept)
        self._queries = Total("fusemix_queries", "Queries encoded or looked up, by what they were", ["kind"], **kept)
        self._batches = Histogram("fusemix_batch_queries", "Queries encoded together", buckets=TOGETHER, **kept)
        items = Gauge("fusemix_index_items", "Items of the index", ["modality"], **kept)
        for modality, count in counts.items():
            items.labels(modality).set(count)

    def embedded(self, queries: Sequence[Query]) -> None:
        """Count a batch."""
        self._batches.observe(len(queries))
        for kind, count in Counter(query.kind for query in queries).items():
            self._queries.labels(kind).inc(count)

    def text(self) -> bytes:
        """All figures, in the text form of Prometheus."""
        return generate_latest(self._registry)


class Watched:
    """Counts and times requests, and writes a line on each where that is wanted.

    Args:
        app: what comes next.
        routes: of Starlette, whose templates stand for the paths.
        metrics: that count.
        writes_log: whether lines are written.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Any], metrics: Metrics, *, writes_log: bool) -> None:
        self.app, self._routes, self._metrics, self._writes_log = app, routes, metrics, writes_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = GONE, time.perf_counter()

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, send_seen)
            finally:
                self._tell(scope, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route(scope["path"])
        method = scope["method"] if scope["method"] in METHODS else OTHER
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if self._writes_log:
            address = visible(str((scope.get("client") or ("-",))[0])[:LONGEST_ADDRESS])
            log.info("%s %s %s %d %.1f ms", address, method, route, status, 1000 * seconds)

    def _route(self, path: str) -> str:
        return next((route.path for route in self._routes if route.path_regex.match(path)), OTHER)


def write_access_log() -> None:
    """Have lines on requests written where errors are written, each with its time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
