import socket

import pytest
from serving import UPLOAD_MB, finished, running

from fusemix.commands.serve import warning
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL, HostCheck, hosts_of


def test_a_server_of_this_machine_knows_its_own_names_alone():
    assert hosts_of("localhost") == hosts_of("127.0.0.1") == set(LOCAL)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_a_server_that_listens_everywhere_knows_the_names_of_its_machine_and_those_that_were_allowed(host):
    name = socket.gethostname().lower()
    found = hosts_of(host, ["Photos.example.org."])
    assert {*LOCAL, name, f"{name.partition('.')[0]}.local", "photos.example.org"} <= found
    assert "evil.example" not in found


def test_a_server_of_one_address_knows_it_and_the_names_of_the_machine():
    assert {"192.168.1.20", socket.gethostname().lower()} <= hosts_of("192.168.1.20")


@pytest.mark.parametrize(
    ("name", "status"),
    [("127.0.0.1", 200), ("localhost.", 200), ("evil.example", 421), ("127.0.0.2", 421), ("[::2]:80", 421), ("", 421)],
)
def test_pages_of_other_names_get_nothing_from_a_server_that_listens_everywhere(searcher, name, status):
    with (
        Batcher(searcher) as batcher,
        running(create_app(batcher, max_upload_mb=UPLOAD_MB, hosts=hosts_of("0.0.0.0"))) as server,
    ):
        assert server.ask("/api/index", headers={"Host": name}).status == status


async def _call(app, scope):
    sent = []

    async def send(message):
        sent.append(message)

    await app(scope, None, send)
    return sent[0]["status"] if sent else None


@pytest.mark.parametrize(
    ("reached", "called", "is_known"),
    [
        ("192.168.1.20", "192.168.1.20:7860", True),
        ("::ffff:192.168.1.20", "192.168.1.20", True),
        ("fe80::1", "[fe80:0::1]:7860", True),
        ("192.168.1.20", "192.168.1.21", False),
        ("192.168.1.20", "192.168.1.20.evil.example", False),
    ],
)
def test_the_address_that_was_reached_is_a_name_of_the_server(reached, called, is_known):
    passed = []

    async def app(scope, receive, send):
        passed.append(scope)

    scope = {"type": "http", "headers": [(b"host", called.encode())], "server": (reached, 7860)}
    status = finished(_call(HostCheck(app, LOCAL), scope))
    assert bool(passed) == is_known
    assert status == (None if is_known else 421)


def test_the_start_for_others_is_told_in_words_that_nobody_misses():
    told = warning("0.0.0.0")
    assert "WARNING" in told
    assert "EVERYBODY who reaches this machine" in told
    assert "HAS THE TOKEN" in told
