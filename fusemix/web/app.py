"""The routes, and what stands before them.

Place in the flow: a request -> SafetyHeaders, HeadAnswers, ErrorPages, HostCheck, BodyLimit -> a route -> Service.
Not here: what a route does (service.py). No path in a request ever names a file: pictures and sounds are asked for by
their number in the index, and the page's own files by a name in a fixed list.
"""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from fusemix import __version__
from fusemix.web.answers import Refusal, json_response, kept_response
from fusemix.web.batching import Batcher
from fusemix.web.error_page import ErrorPages
from fusemix.web.hosts import HostCheck
from fusemix.web.limits import BodyLimit, HeadAnswers, SafetyHeaders
from fusemix.web.page import Page
from fusemix.web.requests import SearchRequest
from fusemix.web.service import Service

MEGABYTE = 1_000_000
SEARCH = "/api/search"
REST_BYTES = 1 << 17
"""Room in a body for all that is no picture or sound: texts, an embedding as numbers."""
BODIES_TOGETHER = 8
"""Bodies of the largest size that are held at once."""
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
PATHS = {404: "there is nothing at this address", 405: "this address takes no such method"}


def create_app(batcher: Batcher, *, max_upload_mb: int, hosts: Collection[str], show_paths: bool = False) -> ASGIApp:
    """The application.

    Args:
        batcher: running, with the Searcher.
        max_upload_mb: of one picture or sound, in MB.
        hosts: names that requests may call the server by, besides the address that they reached.
        show_paths: whether results say where on this machine items lie.
    """
    most_bytes = max_upload_mb * MEGABYTE
    # Its pages of documentation load scripts from elsewhere; /openapi.json says the same to programs.
    app = FastAPI(
        title="fusemix",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    service = Service(batcher, most_bytes, show_paths=show_paths)
    _add_interface(app, service)
    _add_page(app, Page(service))
    _add_errors(app)
    most_body = most_bytes * 4 // 3 + REST_BYTES  # base64 makes three bytes four
    # Around FastAPI and not among its middleware, so that even its answer to a bug carries the headers.
    limited = BodyLimit(app, SEARCH, most_body, BODIES_TOGETHER * most_body)
    return SafetyHeaders(HeadAnswers(ErrorPages(HostCheck(limited, hosts))))


def _add_interface(app: FastAPI, service: Service) -> None:
    @app.post(SEARCH, summary="Search the index", openapi_extra={"requestBody": _search_body()})
    async def search(request: Request) -> Response:
        return await service.search(request)

    @app.get("/api/index", summary="What is searched, and what the server allows")
    async def about() -> Response:
        return json_response(service.about())

    @app.get("/media/{position}", summary="An item to look at or listen to", response_class=Response)
    async def media(request: Request, position: str) -> Response:
        return await service.media(request, position)

    @app.get("/healthz", summary="Whether the server is up")
    async def health() -> Response:
        return json_response({"status": "ok"})


def _search_body() -> dict[str, Any]:
    """What /openapi.json says of the body of a search. FastAPI does not read it: requests.py has its own words."""
    schema = SearchRequest.model_json_schema()
    part = schema.pop("$defs")["Part"]  # a reference would point to the root of another document
    schema["properties"]["queries"]["anyOf"][0]["items"] = part
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _add_page(app: FastAPI, page: Page) -> None:
    async def home(request: Request) -> Response:
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
