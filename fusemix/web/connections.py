"""Connections: how many there are, and how long each may keep the server waiting.

Place in the flow: accepted sockets -> Guarded -> uvicorn's HTTP -> the application.
Not here: how fast a body must come (limits.py); whom a request may call (hosts.py).

A connection waits for its client while it has no whole request and no answer under way. Where there are too many, the
one that has waited longest makes room for a new one, so that those who only hold connections shut nobody out.
"""

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 512
SPARE_FILES = 48
"""File descriptors that are left for other things than connections: files of the index, processes that decode."""
FEWEST_CONNECTIONS = 8
HEAD_SEC = 10
"""Longest time from one answer, or from the beginning, to the next whole head of a request."""
UNREAD_SEC = 20
"""An answer of which the client has taken nothing for so long is given up."""
LOOK_SEC = 1.0


def most_connections() -> int:
    """As many as there are file descriptors for, and MOST_CONNECTIONS at most."""
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY:
            return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, limit - _open_files() - SPARE_FILES))
    return MOST_CONNECTIONS


def _open_files() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - it has no files that a Path could stand for
    return SPARE_FILES


class Guarded(H11Protocol):
    """One connection, as uvicorn speaks HTTP, that does not wait for ever."""

    most = MOST_CONNECTIONS
    """Connections at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take it, and part with another where they are too many."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._unread, self._unread_since = 0, self._since
        others = [one for one in self.connections if one is not self and isinstance(one, Guarded)]
        if len(others) >= self.most:
            waiting = [one for one in others if one.waits_for_client]
            (min(waiting, key=lambda one: one._since) if waiting else self).cut()

    @property
    def waits_for_client(self) -> bool:
        """Whether the next step is the client's: to send more, or to take what was sent."""
        return self.transport.get_write_buffer_size() > 0 or self._has_no_request or self.cycle.more_body

    @property
    def _has_no_request(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_response_complete(self) -> None:
        """From here on the next head is waited for."""
        self._since = self.loop.time()
        super().on_response_complete()

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A client that has sent a whole request and closes its half still gets its answer."""
        if self._has_no_request or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def cut(self) -> None:
        """Part with the client at once."""
        self.connections.discard(self)
        self.transport.abort()

    def look(self, now: float) -> None:
        """Part with a client that keeps the server waiting for too long.

        Args:
            now: by the clock of the loop.
        """
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        if (unread and now - self._unread_since > UNREAD_SEC) or (
            not unread and self._has_no_request and now - self._since > HEAD_SEC
        ):
            self.cut()


async def look_after(connections: Iterable[Any]) -> None:
    """Look at all connections again and again."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_SEC)
        for one in list(connections):
            if isinstance(one, Guarded):
                one.look(loop.time())
