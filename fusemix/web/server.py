"""The server: where it listens, until when, and what it says meanwhile.

Place in the flow: host and port -> a socket -> uvicorn runs the application -> Ctrl-C.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from fusemix.encoders.workers import allow_open_files
from fusemix.errors import ConfigError
from fusemix.web.connections import Guarded, look_after, most_connections
from fusemix.web.quiet import make_quiet

LONGEST_GOODBYE_SEC = 3
"""Requests that are being answered when the server is stopped get this much time."""
LINE = 1024
"""Connections that the system keeps until they are taken."""
TAKEN_AT_ONCE = 16
"""Connections that are taken before those that were are looked at."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the address, and takes no connection yet: so a taken port is known before models are loaded.

    Args:
        host: name or address of this machine.
        port: 0 takes a free one.

    Raises:
        ConfigError: the port is taken, or may not be used; the host is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(
            f"host is {host!r}, which is no address of this machine. Take 127.0.0.1 or 0.0.0.0."
        ) from error
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ConfigError(_why_not(host, port, error)) from error
    return listening


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use. Stop what listens there, or give another: --port 0 takes a free one."
    if error.errno == errno.EACCES:
        return f"port {port} may only be used by the system's administrator. Take one above 1023: --port 7860"
    return f"host is {host!r}, which is no address of this machine. Take 127.0.0.1 or 0.0.0.0."


def address(listening: socket.socket) -> str:
    """What a browser on this machine is given."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, str(host))
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn, with a line for who knocks that is longer than what is taken in one go, and an eye on connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(LINE)
        self._look = asyncio.create_task(look_after(self.server_state.connections))


def server_for(app: ASGIApp, log_level: str = "error") -> uvicorn.Server:
    """What runs an application.

    Args:
        app: what answers.
        log_level: below which nothing is said.
    """
    config = uvicorn.Config(
        app,
        http=type("Guarded", (Guarded,), {"most": most_connections()}),
        loop="asyncio",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level=log_level,
        server_header=False,
        proxy_headers=True,  # of proxies on this machine, and of those that FORWARDED_ALLOW_IPS names
        backlog=TAKEN_AT_ONCE,
        timeout_graceful_shutdown=LONGEST_GOODBYE_SEC,
    )
    make_quiet()
    return _Server(config)


def run(app: ASGIApp, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C, which ends it quietly.

    Args:
        app: what answers.
        listening: from `bound`.
        ready: called when the first request may come.
    """
    allow_open_files()
    listening.listen(LINE)
    ready()
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is answered
        server_for(app).run(sockets=[listening])
