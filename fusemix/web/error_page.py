"""How a refusal is told: the sentence that programs get as JSON, as a page for people, and in OpenAI's form.

Place in the flow: an answer with an error -> ErrorPages -> HTML where the browser asked for a page; below /v1/ what
clients of OpenAI's read; else as it was.

The page carries its style, since a server that refuses a page may refuse a style as well.
"""

import base64
import hashlib
import json
from collections.abc import Callable, MutableMapping
from functools import partial
from html import escape
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-content:center;padding:1.5rem;box-sizing:border-box;"
    'font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;'
    "background:#fbfbfa;color:#1d2026;overflow-wrap:anywhere}"
    "main{max-width:34rem}h1{font-size:1.4rem;margin:0}p{margin:.6rem 0}.status{color:#5b616b;margin:0}a{color:#1f6299}"
    "@media(prefers-color-scheme:dark){body{background:#14161a;color:#e6e8eb}.status{color:#a0a7b1}a{color:#7db8e8}}"
)
STYLE_DIGEST = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode('ascii')}'"
"""For the policy, which lets no other style in that a page carries."""
NO_WAY_BACK = (HTTPStatus.UNAUTHORIZED, HTTPStatus.MISDIRECTED_REQUEST)
"""Where the search page would be refused, too."""
OPENAI = "/v1/"


def error_page(status: int, message: str, home: str = "/") -> bytes:
    """A page that says what went wrong.

    Args:
        status: of HTTP.
        message: one sentence, for people.
        home: address of the search page.
    """
    title = HTTPStatus(status).phrase
    sentence = f"{message[:1].upper()}{message[1:]}{'' if message.endswith('.') else '.'}"
    way_back = "" if status in NO_WAY_BACK else f'<p><a href="{escape(home)}">To the search page</a></p>'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)} · fusemix</title>'
        f'<style>{STYLE}</style></head><body><main><p class="status">{status}</p><h1>{escape(title)}</h1>'
        f"<p>{escape(sentence)}</p>{way_back}</main></body></html>"
    ).encode("utf-8", "replace")


def openai_error(status: int, message: str) -> bytes:
    """What clients of OpenAI's take apart.

    Args:
        status: of HTTP.
        message: one sentence, for people.
    """
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    code = "invalid_api_key" if status == HTTPStatus.UNAUTHORIZED else None
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


class ErrorPages:
    """Sends errors as pages to who would rather have a page than JSON, and in OpenAI's form to its clients.

    Args:
        app: what comes next.
        home: address of the search page.
    """

    def __init__(self, app: ASGIApp, home: str = "/") -> None:
        self.app, self.home = app, home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and turn an error into what is wanted."""
        form = self._form(scope) if scope["type"] == "http" else None
        if form is None:
            await self.app(scope, receive, send)
            return
        start: MutableMapping[str, Any] = {}  # of an error, until its body is there

        async def send_formed(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_error(message):
                start.update(message)
            elif start:
                for part in _formed(start, message, *form):
                    await send(part)
                start.clear()
            else:
                await send(message)

        await self.app(scope, receive, send_formed)

    def _form(self, scope: Scope) -> tuple[str, Callable[[int, str], bytes]] | None:
        """Media type of an error, and what makes its body; None where it is right as it is."""
        if prefers_page(Headers(scope=scope).get("accept", "")):
            return "text/html; charset=utf-8", partial(error_page, home=self.home)
        return ("application/json", openai_error) if scope["path"].startswith(OPENAI) else None


def prefers_page(accept: str) -> bool:
    """Whether an `Accept` header wants HTML more than JSON: browsers that open an address do, programs do not."""
    wanted = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        wanted[kind] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0
    html, json_ = (
        wanted.get(kind, wanted.get(f"{kind.partition('/')[0]}/*", wanted.get("*/*", 0.0)))
        for kind in ("text/html", "application/json")
    )
    return html > json_


def _is_error(start: Message) -> bool:
    is_json = Headers(raw=start["headers"]).get("content-type", "") == "application/json"
    return start["status"] >= HTTPStatus.BAD_REQUEST and is_json


def _formed(
    start: MutableMapping[str, Any], message: Message, kind: str, make: Callable[[int, str], bytes]
) -> tuple[Message, Message]:
    """The head and the body of an answer whose body is `{"error": …}`, whole."""
    body = make(start["status"], json.loads(message["body"])["error"])
    headers = MutableHeaders(raw=list(start["headers"]))
    headers.update({"content-type": kind, "content-length": str(len(body)), "vary": "accept"})
    return {**start, "headers": headers.raw}, {**message, "body": body}
