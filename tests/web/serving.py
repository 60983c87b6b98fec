"""A real server on a free port, in a thread, and what asks it."""

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple

from starlette.types import ASGIApp

from fusemix.web.server import bound, server_for

UPLOAD_MB = 1
TOKEN = "a-token-of-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NAME, BASE = "photos.example.org", "/photos"
"""What a proxy has the server called, and below which path."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The one sentence of a refusal, and nothing else."""
        assert list(self.data) == ["error"], self.data
        assert self.headers["content-type"] == "application/json"
        return self.data["error"]


class Server(NamedTuple):
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, body: bytes | None = None, method: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request, sent unchanged: nothing tidies the path."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def search(self, query: Any, **headers: str) -> Answer:
        body = query if isinstance(query, bytes) else json.dumps(query).encode()
        return self.ask("/api/search", body, headers={"Content-Type": "application/json", **headers})


@contextmanager
def running(app: ASGIApp, port: int = 0) -> Iterator[Server]:
    """Serve in a thread."""
    with bound("127.0.0.1", port) as listening:
        server = server_for(app, "critical")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Server(listening.getsockname()[1])
        server.should_exit = True
        thread.join()


def finished(story: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end in a thread of its own: where the browser is, this one has a loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, story).result()
