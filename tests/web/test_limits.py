import asyncio
import socket
import time

import pytest
from serving import finished

from fusemix.errors import ConfigError
from fusemix.web import limits
from fusemix.web.limits import BodyLimit
from fusemix.web.server import address, bound

MOST = 1_000_000 * 4 // 3 + (1 << 17)
"""Bytes of a body that the server of these tests takes."""


def talk(server, sent, wait=0.0):
    """Bytes over a bare connection, and all that comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for part in sent if isinstance(sent, list) else [sent]:
            connection.sendall(part)
            time.sleep(wait)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
        return found


def head(size, host="127.0.0.1"):
    return (
        f"POST /api/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"{size}\r\n\r\n"
    ).encode()


def test_every_answer_carries_the_headers_that_keep_browsers_careful(server):
    for path in ("/", "/static/page.js", "/media/0", "/media/9999", "/nowhere", "/api/index", "/openapi.json"):
        headers = server.ask(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & {
            word for part in policy.values() for word in part.split()
        }
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers, "pages of other sites get nothing"
    refused = server.ask("/", headers={"Host": "evil.example"})
    assert "content-security-policy" in refused.headers


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.0.0.1", True),
        ("localhost:7860", True),
        ("LOCALHOST", True),
        ("[::1]:7860", True),
        ("evil.example", False),
        ("evil.example:7860", False),
        ("127.0.0.1.evil.example", False),
        ("localhost@evil.example", False),
        ("[::2]", False),
        ("", False),
    ],
)
def test_a_server_of_this_machine_is_not_called_by_another_name(server, host, is_known):
    answer = server.ask("/healthz", headers={"Host": host})
    assert answer.status == (200 if is_known else 421)
    if not is_known:
        assert answer.error.startswith("this server is not called")
        assert answer.error.endswith("it listens for 127.0.0.1, ::1, localhost")


def test_a_body_that_is_too_large_is_refused_whether_it_says_its_size_or_not(server):
    slightly, far = MOST + 1, 50 * MOST
    said = talk(server, [head(f"Content-Length: {slightly}"), b" " * slightly])
    assert b" 413 " in said.split(b"\r\n")[0]
    assert b'{"error":"the request is larger than the 1.5 MB that are taken here"}' in said
    assert b" 413 " in talk(server, head(f"Content-Length: {far}")).split(b"\r\n")[0], "at once, before it is sent"
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    chunked = talk(server, [head("Transfer-Encoding: chunked"), chunk * (MOST // 65536 + 1) + b"0\r\n\r\n"])
    assert b" 413 " in chunked.split(b"\r\n")[0]
    assert server.search({"text": "bar"}).status == 200


def test_a_body_of_just_the_size_is_read(server):
    body = b'{"text": "bar"}'.ljust(MOST)
    assert server.search(body).status == 200


def test_a_body_that_breaks_off_is_forgotten(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head("Content-Length: 1000") + b'{"text":')
    assert server.search({"text": "bar"}).status == 200


def test_what_is_no_http_gets_a_400(server):
    for sent in (
        b"hello\r\n\r\n",
        head("Content-Length: -1"),
        head("Content-Length: 1e3"),
        b"\x16\x03\x01" + b"\0" * 50,
    ):
        assert b" 400 " in talk(server, sent).split(b"\r\n")[0]
    assert server.search({"text": "bar"}).status == 200


SCOPE = {"type": "http", "method": "POST", "path": "/search", "headers": [(b"content-type", b"application/json")]}
CHUNKED = (b"transfer-encoding", b"chunked")


async def ask(app, bodies, delay=0.0, scope=SCOPE):
    """Call an ASGI application with a body in parts; gives status and body of the answer."""
    waiting, sent = list(bodies), []

    async def receive():
        await asyncio.sleep(delay)
        part = waiting.pop(0) if waiting else None
        return (
            {"type": "http.disconnect"}
            if part is None
            else {"type": "http.request", "body": part, "more_body": bool(waiting)}
        )

    async def send(message):
        sent.append(message)

    await app({**scope, "headers": [*scope["headers"], CHUNKED]}, receive, send)
    return (sent[0]["status"], sent[1]["body"]) if sent else None


def holding(release):
    """An application that answers with the size of its body once it may."""

    async def app(scope, receive, send):
        body = (await receive())["body"]
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})

    return app


def test_bodies_together_may_only_be_so_large_and_are_let_go_when_answered(monkeypatch):
    monkeypatch.setattr(limits, "SMALL_BODY", 10)

    async def story():
        release = asyncio.Event()
        app = BodyLimit(holding(release), {"/search"}, most_bytes=100, most_together=150)
        first = asyncio.create_task(ask(app, [b"a" * 60, b"a" * 40]))
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        small = asyncio.create_task(ask(app, [b"s" * 10]))
        busy = await ask(app, [b"b" * 60])
        assert busy == (503, b'{"error":"too many large requests at once; try again in a moment"}')
        release.set()
        assert await first == (200, b"100")
        assert await small == (200, b"10"), "there is always room for small ones"
        assert await ask(app, [b"b" * 100]) == (200, b"100")
        assert await ask(app, [b"b" * 101]) == (
            413,
            b'{"error":"the request is larger than the 0.0 MB that are taken here"}',
        )
        assert await ask(app, [b"b" * 10, None]) is None, "who has gone gets no answer"
        assert app._held == 0

    finished(story())


@pytest.mark.parametrize("name", ["BODY_SEC", "STEP_SEC"])
def test_a_body_that_takes_too_long_or_comes_too_slowly_is_refused(monkeypatch, name):
    monkeypatch.setattr(limits, name, 0.05)
    app = BodyLimit(holding(asyncio.Event()), {"/search"}, most_bytes=100, most_together=100)
    status, body = finished(ask(app, [b"a"] * 50, delay=0.01))
    assert (status, body[:40]) == (408, b'{"error":"the request comes too slowly; ')


def test_a_body_that_comes_fast_enough_in_every_step_is_taken(monkeypatch):
    monkeypatch.setattr(limits, "STEP_SEC", 0.2)
    monkeypatch.setattr(limits, "STEP_BYTES", 5)
    release = asyncio.Event()
    release.set()
    app = BodyLimit(holding(release), {"/search"}, most_bytes=100, most_together=100)
    assert finished(ask(app, [b"a"] * 40, delay=0.01)) == (200, b"40"), "0.4 s in all"


@pytest.mark.parametrize(
    ("line", "kind", "status"),
    [
        ("POST /nowhere", "application/json", b" 404 "),
        ("POST /healthz", "application/json", b" 405 "),
        ("PUT /api/search", "application/json", b" 405 "),
        ("POST /api/search", "text/plain", b" 415 "),
        ("POST /api/search", "application/json", b" 413 "),
    ],
)
def test_path_method_type_and_size_are_judged_before_the_body_comes(server, line, kind, status):
    size = 50 * MOST if b"413" in status else 100_000
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(
            f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        assert status in connection.recv(1 << 16).split(b"\r\n")[0]


def test_eight_stalled_bodies_leave_room_for_small_requests(server):
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(8)]
    try:
        for connection in held:
            connection.sendall(head(f"Content-Length: {MOST}") + b" " * (MOST - 1))
        assert server.search({"text": "bar"}).status == 200
    finally:
        for connection in held:
            connection.close()


def test_a_port_that_is_taken_is_told_before_anything_is_loaded():
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(
            ConfigError, match=f"port {port} is in use. Stop what listens there, or give another: --port 0"
        ):
            bound("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_told(host):
    with pytest.raises(ConfigError, match=f"host is '{host}', which is no address of this machine. Take 127.0.0.1"):
        bound(host, 0)
