"""What a server tells of itself: figures for Prometheus, lines of a log, and whether its model answers."""

import logging
import re
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import BASE, BEARER, TOKEN, UPLOAD_MB, finished, running

from fusemix.web.answers import Refusal
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.health import Health
from fusemix.web.hosts import LOCAL
from fusemix.web.watched import log
from fusemix.wiring.searching.searcher import Searcher


def figures(server, headers=None):
    """name -> {labels in order: value}, as another program reads them."""
    answer = server.ask("/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def of(found, name, **labels):
    return found.get(name, {}).get(tuple(sorted(labels.items())), 0)


def test_requests_are_counted_by_what_they_were_and_never_by_their_path(server):
    before = figures(server)
    for path in ("/media/3", "/media/4?size=large", "/media/x", "/a-word-nobody-may-see", "/another"):
        server.ask(path)
    server.ask("/healthz", method="HEAD")
    server.ask("/api/index", method="BREW")
    after = figures(server)

    def more(**labels):
        return of(after, "fusemix_requests_total", **labels) - of(before, "fusemix_requests_total", **labels)

    assert more(route="/media/{position}", method="GET", status="200") == 2
    assert more(route="/media/{position}", method="GET", status="404") == 1
    assert more(route="other", method="GET", status="404") == 2
    assert more(route="/healthz", method="HEAD", status="200") == 1
    assert more(route="/api/index", method="other", status="405") == 1
    assert of(after, "fusemix_request_seconds_count", route="/media/{position}") >= 3
    assert of(after, "fusemix_requests_in_flight") == 1, "this very request"
    assert b"nobody-may-see" not in server.ask("/metrics").body


def test_queries_and_batches_are_counted_by_kind(server, searcher):
    before = figures(server)
    server.search({"queries": [{"text": "bar"}, {"text": "a"}, {"like": searcher.index.items([3])[0]["id"]}]})
    after = figures(server)
    added = {
        kind: of(after, "fusemix_queries_total", kind=kind) - of(before, "fusemix_queries_total", kind=kind)
        for kind in ("text", "like", "image")
    }
    assert added == {"text": 2, "like": 1, "image": 0}
    assert after["fusemix_batch_queries_sum"][()] - before.get("fusemix_batch_queries_sum", {(): 0})[()] == 3
    items = {labels[0][1]: value for labels, value in after["fusemix_index_items"].items()}
    assert items == {"image": 36, "audio": 24, "text": 24}


def test_two_servers_of_a_process_count_each_for_itself(server, locked):
    alone = figures(locked, BEARER)
    server.ask("/api/index")
    assert of(figures(locked, BEARER), "fusemix_requests_total", route="/api/index", method="GET", status="200") == of(
        alone, "fusemix_requests_total", route="/api/index", method="GET", status="200"
    )


def test_a_line_says_who_what_kind_and_how_long_and_neither_words_nor_the_token(searcher, monkeypatch):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    monkeypatch.setattr(log, "handlers", [handler])
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "level", logging.INFO)
    how = {"max_upload_mb": UPLOAD_MB, "hosts": LOCAL, "token": TOKEN, "base_path": BASE, "access_log": True}
    with Batcher(searcher) as batcher, running(create_app(batcher, **how)) as server:
        server.ask(f"{BASE}/?q=private+words&token={TOKEN}")
        server.search({"text": "private words"}, **BEARER)
        server.ask(f"{BASE}/private%0Awords", headers={**BEARER, "X-Forwarded-For": "203.0.113.7"})
        server.ask(f"/?token={TOKEN}x", headers={"X-Forwarded-For": "203.0.113.8"})
    said = [re.sub(r"[\d.]+ ms$", "T ms", line) for line in lines]
    assert said == [
        "127.0.0.1 GET / 303 T ms",
        "127.0.0.1 POST /api/search 200 T ms",
        "203.0.113.7 GET other 404 T ms",
        "203.0.113.8 GET / 401 T ms",
    ]


class Asked(Searcher):
    """A Searcher that notes what it is asked, and then does what a test says before it embeds."""

    def __init__(self, searcher, does=lambda: None, modalities=("text",)):
        vars(self).update(vars(searcher))
        self.asked, self._does, self._known = [], does, modalities

    @property
    def modalities(self):
        return self._known

    def embed(self, queries):
        self.asked.append([query.kind for query in queries])
        self._does()
        return super().embed(queries)


async def probes(health, count=1):
    for _ in range(count):
        await health.require_well()


def test_health_asks_the_model_once_in_a_while_however_many_ask(searcher):
    seen = Asked(searcher)
    with Batcher(seen) as batcher:
        finished(probes(Health(batcher), 5))
        assert seen.asked == [["text"]]
        finished(probes(Health(batcher, kept_sec=-1.0), 5))
        assert len(seen.asked) == 6


@pytest.mark.parametrize("kind", ["text", "image", "audio"])
def test_a_model_is_asked_by_what_it_knows(searcher, kind):
    seen = Asked(searcher, modalities=(kind,))
    with Batcher(seen) as batcher:
        finished(probes(Health(batcher)))
    assert seen.asked == [[kind]]


def test_a_model_that_fails_is_told_to_everybody_in_a_sentence_and_to_the_console_in_full(
    searcher, caplog, monkeypatch
):
    def fail():
        raise ValueError("a secret place")

    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [caplog.handler])
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "level", logging.ERROR)
    with (
        Batcher(Asked(searcher, fail)) as batcher,
        pytest.raises(Refusal, match="^the model fails to embed; the server's console says why$") as caught,
    ):
        finished(probes(Health(batcher)))
    assert caught.value.status == 503
    assert "a secret place" in caplog.text


def test_a_model_that_hangs_is_told_and_is_not_asked_again_meanwhile(searcher):
    release = threading.Event()
    seen = Asked(searcher, lambda: release.wait(20))
    with Batcher(seen) as batcher:
        health = Health(batcher, patience_sec=0.05)
        for _ in range(3):
            with pytest.raises(Refusal, match="the model has not answered within 0.05 s: it hangs, or is too busy"):
                finished(probes(health))
        release.set()
        health._asked.result(20)
        finished(probes(health))
    assert len(seen.asked) == 1
