"""Clients that only hold connections, and what the server says of it."""

import errno
import http.client
import logging
import socket
import time

import pytest
from serving import UPLOAD_MB, running

from fusemix.web import connections
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.web.quiet import Once


@pytest.fixture
def small_server(searcher, monkeypatch):
    """Of eight connections, and little patience."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(connections, "HEAD_SEC", 1.0)
    monkeypatch.setattr(connections, "LOOK_SEC", 0.05)
    with Batcher(searcher) as batcher, running(create_app(batcher, max_upload_mb=UPLOAD_MB, hosts=LOCAL)) as server:
        yield server


def silent(server, count, sent=b""):
    held = []
    for _ in range(count):
        held.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        held[-1].sendall(sent)
    return held


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nX: "])
def test_silent_connections_shut_nobody_out(small_server, sent):
    held = silent(small_server, 40, sent)
    for _ in range(5):
        assert small_server.search({"text": "bar"}).status == 200
    assert is_closed(held[0]), "the one that has waited longest makes room"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nX: ",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /",
        b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_a_head_that_does_not_come_ends_the_connection(small_server, monkeypatch, sent):
    monkeypatch.setattr("fusemix.web.limits.STEP_SEC", 0.2)
    (connection,) = silent(small_server, 1, sent)
    started = time.monotonic()
    while not is_closed(connection):
        pass
    assert time.monotonic() - started < 8


def test_a_client_that_closes_its_half_gets_its_answer(server):
    body = b'{"text": "bar"}'
    head = (
        "POST /api/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
    assert found.startswith(b"HTTP/1.1 200 ")
    assert found.endswith(b"}")


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/index", "/media/0", "/healthz", "/openapi.json"])
def test_whatever_can_be_got_answers_head(server, path):
    got = server.ask(path)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("HEAD", path)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (got.status, b"")
    assert answer.headers["content-length"] == str(len(got.body))
    assert answer.headers["content-type"] == got.headers["content-type"]
    connection.close()


def test_head_of_what_takes_posts_alone_is_refused(server):
    assert server.ask("/api/search", method="HEAD").status == 405


def record(message, error=None):
    return logging.LogRecord("asyncio", logging.ERROR, "file", 1, message, (), error and (type(error), error, None))


def test_a_log_says_the_same_once_a_minute_and_how_often_it_came():
    now = [0.0]
    once = Once(lambda: now[0])
    assert [once.filter(record("broken\nat 1")), once.filter(record("broken\nat 2"))] == [True, False]
    assert once.filter(record("broken", ValueError())), "another thing"
    now[0] = 61
    again = record("broken\nat 3")
    assert once.filter(again)
    assert again.getMessage() == "broken\nat 3 (1 times more since the last time)"


def test_a_lack_of_descriptors_is_one_line_without_a_traceback():
    once = Once(lambda: 0.0)
    lack = record("socket.accept() out of system resource", OSError(errno.EMFILE, "Too many open files"))
    assert once.filter(lack)
    assert logging.Formatter().format(lack).startswith("no file descriptors are left")
    assert "\n" not in logging.Formatter().format(lack)
    assert not once.filter(record("something else", OSError(errno.ENFILE, "")))
