"""The routes, and what stands before them.

Place in the flow: a request -> SafetyHeaders, BasePath, Watched, HeadAnswers, ErrorPages, HostCheck, BodyLimit with
Tokens -> a route -> Service.
Not here: what a route does (service.py). No path in a request ever names a file: pictures and sounds are asked for by
their number in the index, and the page's own files by a name in a fixed list.
"""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from fusemix import __version__
from fusemix.web.answers import Refusal, json_response, kept_response
from fusemix.web.base_path import BasePath
from fusemix.web.batching import Batcher
from fusemix.web.embeddings import EmbeddingRequest, Embeddings
from fusemix.web.error_page import ErrorPages
from fusemix.web.health import Health
from fusemix.web.hosts import HostCheck
from fusemix.web.knn import Knn, KnnRequest
from fusemix.web.limits import BodyLimit, HeadAnswers, SafetyHeaders
from fusemix.web.page import Page
from fusemix.web.requests import Part, SearchRequest
from fusemix.web.service import Service
from fusemix.web.tokens import Tokens
from fusemix.web.watched import Metrics, Watched

MEGABYTE = 1_000_000
SEARCH, EMBEDDINGS, KNN = "/api/search", "/v1/embeddings", "/knn-service"
REST_BYTES = 1 << 17
"""Room in a body for all that is no picture or sound: texts, an embedding as numbers."""
BODIES_TOGETHER = 8
"""Bodies of the largest size that are held at once."""
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
PATHS = {404: "there is nothing at this address", 405: "this address takes no such method"}


def create_app(
    batcher: Batcher,
    *,
    max_upload_mb: int,
    hosts: Collection[str],
    token: str | None = None,
    base_path: str = "",
    show_paths: bool = False,
    access_log: bool = False,
) -> ASGIApp:
    """The application.

    Args:
        batcher: running, with the Searcher.
        max_upload_mb: of one picture or sound, in MB.
        hosts: names that requests may call the server by, besides the address that they reached.
        token: that requests must bring; None asks for none.
        base_path: below which the server is reached.
        show_paths: whether results say where on this machine items lie.
        access_log: whether a line is written on each request.
    """
    most_bytes = max_upload_mb * MEGABYTE
    app = _empty(base_path)
    service = Service(batcher, most_bytes, base_path, show_paths=show_paths)
    tokens = None if token is None else Tokens(token, base_path)
    metrics = Metrics(batcher.searcher.index.counts)
    batcher.watched_by(metrics.embedded)
    _add_interface(app, service)
    _add_others(app, service, batcher)
    _add_care(app, Health(batcher), metrics)
    _add_page(app, Page(service, base_path, asks_token=tokens is not None), tokens)
    _add_errors(app)
    most_body = most_bytes * 4 // 3 + REST_BYTES  # base64 makes three bytes four
    admit = None if tokens is None else tokens.admit
    # Around FastAPI and not among its middleware, so that even its answer to a bug carries the headers.
    limited = BodyLimit(app, (SEARCH, EMBEDDINGS, KNN), most_body, BODIES_TOGETHER * most_body, (KNN,), admit)
    known = HeadAnswers(ErrorPages(HostCheck(limited, hosts), f"{base_path}/"))
    return SafetyHeaders(BasePath(Watched(known, app.routes, metrics, writes_log=access_log), base_path))


def _empty(base_path: str) -> FastAPI:
    # Its pages of documentation load scripts from elsewhere; /openapi.json says the same to programs.
    return FastAPI(
        title="fusemix",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
        servers=[{"url": base_path}] if base_path else None,
    )


def _add_interface(app: FastAPI, service: Service) -> None:
    @app.post(SEARCH, summary="Search the index", openapi_extra={"requestBody": _search_body()})
    async def search(request: Request) -> Response:
        return await service.search(request)

    @app.get("/api/index", summary="What is searched, and what the server allows")
    async def about() -> Response:
        return json_response(service.about())

    @app.get("/api/filters", summary="What items may be filtered by, and how many have which value")
    async def filters(request: Request) -> Response:
        return json_response(await service.filters(request))

    @app.get("/media/{position}", summary="An item to look at or listen to", response_class=Response)
    async def media(request: Request, position: str) -> Response:
        return await service.media(request, position)


def _add_others(app: FastAPI, service: Service, batcher: Batcher) -> None:
    """What clients of other servers ask."""
    embeddings, knn = Embeddings(service, batcher.searcher), Knn(service, batcher.searcher)

    @app.post(
        EMBEDDINGS, summary="Embeddings, in OpenAI's form", openapi_extra={"requestBody": _body(EmbeddingRequest)}
    )
    async def embed(request: Request) -> Response:
        return await embeddings.answer(request)

    @app.post(KNN, summary="Search as clip-retrieval does", openapi_extra={"requestBody": _body(KnnRequest)})
    async def nearest(request: Request) -> Response:
        return await knn.answer(request)

    @app.get("/indices-list", summary="The name of the index, as clip-retrieval lists its indexes")
    async def names() -> Response:
        return json_response(knn.names())


def _add_care(app: FastAPI, health: Health, metrics: Metrics) -> None:
    """What those ask who look after servers."""

    @app.get("/healthz", summary="Whether the model answers")
    async def well() -> Response:
        await health.require_well()
        return json_response({"status": "ok"})

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def figures() -> Response:
        return Response(metrics.text(), 200, {"cache-control": "no-store"}, CONTENT_TYPE_LATEST)


def _body(model: type[BaseModel], **fields: dict[str, Any]) -> dict[str, Any]:
    """What /openapi.json says of a body. FastAPI does not read it: requests.py has its own words.

    Args:
        model: of the body.
        fields: further words on some of its fields.
    """
    schema = model.model_json_schema()
    schema.pop("$defs", None)  # a reference would point to the root of another document
    for name, more in fields.items():
        schema["properties"][name]["anyOf"][0] |= more
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _search_body() -> dict[str, Any]:
    part = Part.model_json_schema()
    alone = _body(SearchRequest, queries={"items": part})["content"]["application/json"]["schema"]
    del alone["properties"]["batch"]
    return _body(SearchRequest, queries={"items": part}, batch={"items": alone})


def _add_page(app: FastAPI, page: Page, tokens: Tokens | None) -> None:
    async def home(request: Request) -> Response:
        if tokens is not None and "token" in request.query_params:
            return tokens.welcome(request)
        return kept_response(request, page.html, "no-cache")

    async def static(request: Request) -> Response:
        if (found := page.files.get(request.path_params["name"])) is None:
            raise HTTPException(404)
        return kept_response(request, found, "no-cache")

    app.add_route("/", home, include_in_schema=False)
    app.add_route("/static/{name}", static, include_in_schema=False)


def _add_errors(app: FastAPI) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return error.response()

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return json_response(
            {"error": PATHS.get(error.status_code, str(error.detail))}, error.status_code, error.headers
        )

    async def failed(request: Request, error: Exception) -> Response:  # uvicorn prints the traceback
        return json_response({"error": "something went wrong in the server; its console says what"}, 500)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(Exception, failed)
