"""What goes back: JSON, bytes that a browser may keep, and refusals in one sentence.

Place in the flow: anything in fusemix/web -> a response. Every refusal is `{"error": "one clear sentence"}`;
error_page.py shows it to people.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
"""One range of bytes (RFC 9110, section 14.1.2); Safari plays no sound from a server that knows none."""


class Refusal(Exception):  # noqa: N818  # it is an answer like others, and no fault of the server
    """A request that is answered by a status and one sentence.

    Args:
        status: of HTTP, from 400.
        message: for people: what is wrong, and what would be right.
        headers: of the response.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})

    def response(self) -> Response:
        """As it goes back."""
        return json_response({"error": self.message}, self.status, self.headers)


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Plain data as JSON. Half a surrogate pair, which is no Unicode text, becomes a question mark."""
    body = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, "application/json")


class Kept(NamedTuple):
    """Bytes that are made once and asked for often.

    Attributes:
        body: as it is sent.
        kind: media type.
        tag: names this very body, for `If-None-Match`.
    """

    body: bytes
    kind: str
    tag: str


def kept(body: bytes, kind: str) -> Kept:
    """Bytes with a tag made of their hash."""
    return Kept(body, kind, f'"{hashlib.sha256(body).hexdigest()[:20]}"')


def kept_response(request: Request, found: Kept, cache: str) -> Response:
    """The body, a range of it, or the word that the browser has it already.

    Args:
        request: whose headers ask for one of these.
        found: what was asked for.
        cache: value of `Cache-Control`.

    Raises:
        Refusal: 416, a range lies outside.
    """
    headers = {"cache-control": cache, "etag": found.tag, "accept-ranges": "bytes"}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    if not asked or asked[0] == "bytes=-" or request.headers.get("if-range", found.tag) != found.tag:
        return Response(found.body, 200, headers, found.kind)
    first, end = _span(asked[1], asked[2], len(found.body))
    headers["content-range"] = f"bytes {first}-{end - 1}/{len(found.body)}"
    return Response(found.body[first:end], 206, headers, found.kind)


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """Bounds of the bytes that a range asks for; `-5` are the last five."""
    bounds = (int(first), min(int(last) + 1, size) if last else size) if first else (max(0, size - int(last)), size)
    if bounds[0] >= bounds[1]:
        raise Refusal(416, f"the range lies outside of the {size:,} bytes", {"content-range": f"bytes */{size}"})
    return bounds
