"""What is refused before anything looks at it, and the headers that every answer carries.

Place in the flow: uvicorn -> SafetyHeaders -> HostCheck -> BodyLimit -> app.py. Plain ASGI, nothing of searching.
Not here: what a body may say (requests.py) and what a picture or sound may be (uploads.py).
"""

import asyncio
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fusemix.web.answers import Refusal

SAFETY = {
    # Only what this server itself sends runs or is shown; blobs are the pictures and sounds that were dropped here.
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # addresses hold queries
    "cross-origin-resource-policy": "same-origin",  # no other site shows the pictures of the index
    "cross-origin-opener-policy": "same-origin",
}
LOCAL = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")
BODY_SEC = 120
"""Longest time that a request may take to arrive."""


class SafetyHeaders:
    """Adds the headers of SAFETY to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and add to the head of the answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SAFETY)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def hosts_of(host: str) -> frozenset[str] | None:
    """Names that requests may call a server by that listens at an address; None for any name.

    A page of another site can let its own name point to this machine (DNS rebinding) and would then be the same origin
    to a browser. It cannot choose what the `Host` header says.
    """
    if host in EVERYWHERE:
        return None
    return frozenset(LOCAL if host in LOCAL else (host.lower(),))


class HostCheck:
    """Refuses requests that call the server by another name.

    Args:
        app: what comes next.
        hosts: see `hosts_of`.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] == "http" and self.hosts is not None:
            name = _without_port(Headers(scope=scope).get("host", "")).lower()
            if name not in self.hosts:
                refusal = Refusal(
                    421, f"this server is not called {name[:100]!r}; it listens for {_listed(self.hosts)}"
                )
                await refusal.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _without_port(host: str) -> str:
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]


def _listed(hosts: Collection[str]) -> str:
    return ", ".join(sorted(hosts))


class BodyLimit:
    """Takes a whole body in before anything looks at it, up to a size, a time, and a size of all bodies together.

    Args:
        app: what comes next.
        most_bytes: in one body.
        most_together: bytes in all bodies that are being received or answered.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, most_together: int) -> None:
        self.app, self.most_bytes, self.most_together = app, most_bytes, most_together
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the body at hand, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(BODY_SEC):
                    await self._take(scope, receive, body)
            except TimeoutError:
                raise Refusal(408, f"the request took longer than {BODY_SEC} s to arrive") from None
            await self.app(scope, _replayed(bytes(body), receive), send)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
        except ClientDisconnect:
            pass  # nobody is left to answer
        finally:
            self._held -= len(body)

    async def _take(self, scope: Scope, receive: Receive, body: bytearray) -> None:
        """Fill `body`."""
        stated = Headers(scope=scope).get("content-length", "")
        size = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 19 else 0
        if size > 2 * self.most_bytes:
            raise self._too_large()
        seen, more = 0, True
        # A little too much is read to its end and thrown away: a client that is still sending hears no answer.
        while more and seen <= 2 * self.most_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            seen += len(part)
            if max(seen, size) <= self.most_bytes:
                self._hold(part, body)
        if max(seen, size) > self.most_bytes:
            raise self._too_large()

    def _hold(self, part: bytes, body: bytearray) -> None:
        if self._held + len(part) > self.most_together:
            raise Refusal(503, "too many large requests at once; try again in a moment", {"retry-after": "2"})
        self._held += len(part)
        body += part

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request is larger than the {self.most_bytes / 1e6:,.1f} MB that are taken here")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then whatever the connection says."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
