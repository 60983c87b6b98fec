import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fusemix.errors import QueryError
from fusemix.models.queries import Query, summed
from fusemix.web.answers import Refusal
from fusemix.web.batching import Asked, Batcher, answered, halved
from fusemix.wiring.searching.searcher import Searcher

TEXTS = ["a red square", "one blue circle", "some low hum", "a high click", "bar", "some green bar and a black circle"]


def requests(tiny, searcher):
    """Of all kinds, with sums among them."""
    item = searcher.index.items([3])[0]["id"]
    picture = Image.open(tiny.files["image"][5])
    vector = np.random.default_rng(0).standard_normal(searcher.index.dim)
    return [
        *(Asked((Query("text", text),), k) for k, text in enumerate(TEXTS, start=3)),
        Asked((Query("like", item),), 9),
        Asked((Query("text", TEXTS[0]), Query("like", item), Query("image", picture)), 20),
        Asked((Query("image", picture),), 5),
        Asked((Query("audio", tiny.files["audio"][2].read_bytes()),), 7),
        Asked((Query("embedding", vector),), 84),
    ]


def same(one, other):
    assert [hit.id for hit in one.hits] == [hit.id for hit in other.hits]
    np.testing.assert_allclose([hit.score for hit in one.hits], [hit.score for hit in other.hits], atol=1e-5)
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5)


def test_requests_answered_together_get_what_each_gets_alone(tiny, searcher):
    asked = requests(tiny, searcher)
    together = answered(searcher, asked)
    for request, found in zip(asked, together, strict=True):
        (alone,) = answered(searcher, [request])
        assert len(found.hits) == request.k
        same(found, alone)


def test_what_a_searcher_gives_is_what_a_request_gets(searcher):
    queries = (Query("text", TEXTS[0]), Query("text", TEXTS[1]))
    (expected,) = searcher.search(
        summed(searcher.embed(queries), searcher.weights(queries))[None], 8, searcher.scope(queries)
    )
    (found,) = answered(searcher, [Asked(queries, 8)])
    assert [hit.id for hit in found.hits] == [hit.id for hit in expected]
    np.testing.assert_allclose([hit.score for hit in found.hits], [hit.score for hit in expected], atol=1e-5)


def test_a_picture_is_searched_by_what_its_link_holds(tiny, searcher):
    (found,) = answered(searcher, [Asked((Query("image", tiny.files["image"][7].read_bytes()),), 84)])
    exact = searcher.embed([Query("image", tiny.files["image"][7].read_bytes())])
    np.testing.assert_allclose(found.vectors, exact, atol=1e-3)
    linked = found.vectors[0].astype(np.float16)
    (again,) = answered(searcher, [Asked((Query("embedding", linked, "image"),), 84)])
    assert again.hits == found.hits


def test_rounding_twice_is_rounding_once():
    vectors = np.random.default_rng(0).standard_normal((200, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for vector in vectors:
        once = halved(vector)
        assert np.linalg.norm(once) == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(once, vector, atol=5e-4)
        np.testing.assert_allclose(halved(once), once, atol=1e-6)


def test_one_request_that_cannot_be_answered_leaves_the_others_alone(searcher):
    vector = searcher.embed([Query("text", TEXTS[0])])[0]
    good = Asked((Query("text", TEXTS[0]),), 4)
    unknown = Asked((Query("like", "nobody"),), 4)
    nothing = Asked((Query("embedding", vector), Query("embedding", -vector)), 4)
    found = answered(searcher, [unknown, good, nothing, good])
    assert isinstance(found[0], QueryError)
    assert "no item of the index has the id 'nobody'" in str(found[0])
    assert isinstance(found[2], QueryError)
    assert "cancel out" in str(found[2])
    (alone,) = answered(searcher, [good])
    same(found[1], alone)
    same(found[3], alone)


class Slow(Searcher):
    """A Searcher that waits for a sign before it embeds, and counts what it is asked together."""

    def __init__(self, searcher):
        vars(self).update(vars(searcher))
        self.go, self.began, self.sizes = threading.Event(), threading.Event(), []

    def embed(self, queries):
        self.sizes.append(len(queries))
        self.began.set()
        assert self.go.wait(30)
        return super().embed(queries)


def test_what_waits_goes_together_up_to_a_number(searcher):
    slow = Slow(searcher)
    asked = Asked((Query("text", TEXTS[0]),), 3)
    with Batcher(slow, most_together=4) as batcher:
        first = batcher.submit(asked)
        assert slow.began.wait(30)
        others = [batcher.submit(asked) for _ in range(6)]
        slow.go.set()
        for future in [first, *others]:
            same(future.result(30), answered(searcher, [asked])[0])
    assert slow.sizes == [1, 4, 2]


def test_too_many_who_wait_are_told_to_come_again(searcher):
    slow = Slow(searcher)
    asked = Asked((Query("text", TEXTS[0]),), 3)
    with Batcher(slow, most_waiting=2) as batcher:
        first = batcher.submit(asked)
        assert slow.began.wait(30)
        waiting = [batcher.submit(asked) for _ in range(2)]
        with pytest.raises(Refusal, match="too many requests are waiting; try again in a moment") as refusal:
            batcher.submit(asked)
        assert (refusal.value.status, refusal.value.headers) == (503, {"retry-after": "1"})
        slow.go.set()
        assert all(len(future.result(30).hits) == 3 for future in [first, *waiting])
    with pytest.raises(Refusal):
        batcher.submit(asked)


def test_who_gave_up_waiting_holds_up_nobody(searcher):
    slow = Slow(searcher)
    asked = Asked((Query("text", TEXTS[0]),), 3)
    with Batcher(slow) as batcher:
        batcher.submit(asked)
        assert slow.began.wait(30)
        gone, stays = batcher.submit(asked), batcher.submit(asked)
        assert gone.cancel()
        slow.go.set()
        assert len(stays.result(30).hits) == 3
        slow.go.clear(), slow.began.clear()
        batcher.submit(asked)
        assert slow.began.wait(30)
        assert batcher.submit(asked).cancel(), "now nothing else waits"
        slow.go.set()
        assert len(batcher.submit(asked).result(30).hits) == 3


def test_a_bug_is_told_to_who_asked_and_the_next_is_answered(searcher):
    with Batcher(searcher) as batcher:
        broken = batcher.submit(Asked((Query("embedding", object()),), 3))
        with pytest.raises(TypeError):
            broken.result(30)
        assert len(batcher.submit(Asked((Query("text", "bar"),), 3)).result(30).hits) == 3


def test_many_threads_at_once_each_get_their_own_answer(tiny, searcher):
    asked = requests(tiny, searcher)
    expected = [answered(searcher, [each])[0] for each in asked]
    with Batcher(searcher) as batcher, ThreadPoolExecutor(8) as pool:
        places = list(np.random.default_rng(0).integers(0, len(asked), 48))
        for place, found in zip(places, pool.map(lambda at: batcher.submit(asked[at]).result(60), places), strict=True):
            same(found, expected[place])
