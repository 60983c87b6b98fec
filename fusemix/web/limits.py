"""What is refused before anything looks at it, and the headers that every answer carries.

Place in the flow: uvicorn -> SafetyHeaders -> … -> HeadAnswers -> … -> BodyLimit -> routes; app.py has the whole line.
Plain ASGI.
Not here: what a body may say (requests.py) and what a picture or sound may be (uploads.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fusemix.web.answers import Refusal
from fusemix.web.error_page import STYLE_DIGEST

SAFETY = {
    # Only what this server itself sends runs or is shown; blobs are the pictures and sounds that were dropped here.
    "content-security-policy": f"default-src 'self'; style-src 'self' {STYLE_DIGEST}; img-src 'self' blob:; "
    "media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # addresses hold queries
    "cross-origin-resource-policy": "same-origin",  # no other site shows the pictures of the index
    "cross-origin-opener-policy": "same-origin",
}
BODY_SEC = 120
"""Longest time that a request may take to arrive."""
STEP_BYTES, STEP_SEC = 1 << 16, 8
"""Of a body, so much must arrive in each so many seconds."""
SMALL_BODY = 1 << 16
"""Bodies up to this size always find room: they take no more than connections may."""


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


class HeadAnswers:
    """Answers HEAD as GET would be, without the body: whatever can be got."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on as GET, and drop the body."""

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self.app({**scope, "method": "GET"}, receive, send_head)
        else:
            await self.app(scope, receive, send)


class BodyLimit:
    """Takes a whole body in before anything looks at it, up to a size, a time, and a size of all bodies together.

    Bodies are for a few addresses. One that nothing takes is thrown away behind the answer, with the same patience:
    a client that is still sending hears no answer when the connection is closed.

    Args:
        app: what comes next.
        takes: paths that are sent JSON by POST.
        most_bytes: in one body.
        most_together: bytes in all bodies above SMALL_BODY that are being received or answered.
        unlabelled: of `takes`, those whose clients do not say that it is JSON.
        admit: raises a Refusal where a request may not come in, before its body does.
    """

    def __init__(
        self,
        app: ASGIApp,
        takes: Collection[str],
        most_bytes: int,
        most_together: int,
        unlabelled: Collection[str] = (),
        admit: Callable[[Scope], Awaitable[None]] | None = None,
    ) -> None:
        self.app, self.most_bytes, self.most_together = app, most_bytes, most_together
        self.takes, self.unlabelled, self.admit = frozenset(takes), frozenset(unlabelled), admit
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the body at hand, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = await self._not_admitted(scope)  # first, since it may take its time
        coming = _Coming(receive, 2 * self.most_bytes, is_over=not _has_body(scope))
        send = _throwing_the_rest_away(coming, send)
        if refusal is not None:
            await refusal.response()(scope, receive, send)
            return
        if scope["method"] != "POST" or scope["path"] not in self.takes:
            await self.app(scope, _replayed(b"", receive), send)
            return
        body = bytearray()
        try:
            await self._take(scope, coming, body)
            await self.app(scope, _replayed(bytes(body), receive), send)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
        except ClientDisconnect:
            pass  # nobody is left to answer
        finally:
            self._held -= _held_of(body)

    async def _not_admitted(self, scope: Scope) -> Refusal | None:
        try:
            if self.admit is not None:
                await self.admit(scope)
        except Refusal as refusal:
            return refusal
        return None

    async def _take(self, scope: Scope, coming: "_Coming", body: bytearray) -> None:
        """Fill `body`."""
        headers = Headers(scope=scope)
        if not _says_json(headers) and not (scope["path"] in self.unlabelled and _says_nothing(headers)):
            raise Refusal(415, "send JSON, and say so: Content-Type: application/json")
        stated = headers.get("content-length", "")
        if stated.isascii() and stated.isdigit() and (len(stated) > 18 or int(stated) > self.most_bytes):
            coming.is_over = len(stated) > 18 or int(stated) > 2 * self.most_bytes  # is not waited for
            raise self._too_large()
        async for part in coming:
            if len(body) + len(part) > self.most_bytes:
                raise self._too_large()
            more = _held_of(body, len(part)) - _held_of(body)
            if self._held + more > self.most_together:
                raise Refusal(503, "too many large requests at once; try again in a moment", {"retry-after": "2"})
            self._held += more
            body += part

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request is larger than the {self.most_bytes / 1e6:,.1f} MB that are taken here")


def _says_json(headers: Headers) -> bool:
    """What no page of another site can say without asking first, which it may not."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _says_nothing(headers: Headers) -> bool:
    """Whether a body is of no stated type, and no page has sent it: browsers state the origin of what pages post."""
    return "content-type" not in headers and "origin" not in headers


def _held_of(body: bytearray, more: int = 0) -> int:
    """Bytes that count; small bodies have all the room that connections have."""
    size = len(body) + more
    return size if size > SMALL_BODY else 0


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class _Coming:
    """The parts of a body, each STEP_BYTES of which must come within STEP_SEC, and all within BODY_SEC.

    Args:
        receive: of the request.
        most_bytes: after which no more is read.
        is_over: whether there is none.
    """

    def __init__(self, receive: Receive, most_bytes: int, *, is_over: bool) -> None:
        self._receive, self._left = receive, most_bytes
        loop = asyncio.get_running_loop()
        self._until, self._step_until, self._step = loop.time() + BODY_SEC, loop.time() + STEP_SEC, 0
        self.is_over = is_over

    def __aiter__(self) -> "_Coming":
        return self

    async def __anext__(self) -> bytes:
        """The next part.

        Raises:
            Refusal: 408, it does not come, or too slowly.
            ClientDisconnect: the client has gone.
        """
        if self.is_over:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout_at(min(self._until, self._step_until)):
                message = await self._receive()
        except TimeoutError:
            self.is_over = True
            raise Refusal(408, _slow()) from None
        if message["type"] == "http.disconnect":
            self.is_over = True
            raise ClientDisconnect
        part = message.get("body", b"")
        self._left, self._step = self._left - len(part), self._step + len(part)
        self.is_over = self._left < 0 or not message.get("more_body", False)
        if self._step >= STEP_BYTES:
            self._step, self._step_until = 0, asyncio.get_running_loop().time() + STEP_SEC
        return part


def _slow() -> str:
    return (
        f"the request comes too slowly; {STEP_BYTES // 1024} kB in {STEP_SEC} s, and all in {BODY_SEC} s are the least"
    )


def _throwing_the_rest_away(coming: _Coming, send: Send) -> Send:
    """Sends the answer at once, and ends it when the body is over."""

    async def send_first(message: Message) -> None:
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not coming.is_over:
            await send({**message, "more_body": True})
            with suppress(Refusal, ClientDisconnect):
                async for _ in coming:
                    pass
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return send_first


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then whatever the connection says."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
