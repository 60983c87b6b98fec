"""The server: where it listens, until when, and what it says meanwhile.

Place in the flow: host and port -> a socket -> uvicorn runs the application -> Ctrl-C.
"""

import errno
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from fusemix.errors import ConfigError

LONGEST_GOODBYE_SEC = 3
"""Requests that are being answered when the server is stopped get this much time."""


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


def run(app: ASGIApp, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C, which ends it quietly.

    Args:
        app: what answers.
        listening: from `bound`.
        ready: called when the first request may come.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LONGEST_GOODBYE_SEC,
    )
    listening.listen(config.backlog)
    ready()
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is answered
        uvicorn.Server(config).run(sockets=[listening])
