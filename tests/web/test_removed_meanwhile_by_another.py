"""A server whose items another process removes between two questions of one request."""

import json
import shutil

import pytest
from removals import GONE, LEFT, SIZE, index_of_pictures, remove_before
from serving import UPLOAD_MB, running

from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    return index_of_pictures(tiny, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("lookup", range(1, 9))
def test_every_way_of_asking_leaves_out_what_is_gone(whole, tmp_path, monkeypatch, lookup):
    out = shutil.copytree(whole, tmp_path / "index")
    searcher = Searcher(out, device="cpu")
    searcher.load()
    app = {"max_upload_mb": UPLOAD_MB, "hosts": LOCAL, "show_paths": True}
    asked = {"text": "a red bar", "k": SIZE}
    with Batcher(searcher) as batcher, running(create_app(batcher, **app)) as server:
        remove_before(lookup, out, monkeypatch)
        answers = [server.search({"like": GONE[0], "k": SIZE}), server.search(asked)]
        answers += [server.search({**asked, "group_duplicates": True})]
        body = json.dumps({"text": "a red bar", "num_images": SIZE}).encode()
        answers += [server.ask("/knn-service", body, headers={"Content-Type": "application/json"})]
        answers += [server.ask(f"/media/{position}") for position in (3, 5)]
        like, *others = [server.search(one) for one in ({"like": GONE[0]}, asked)]
    assert {answer.status for answer in answers[1:4]} == {200}
    assert {answers[0].status, answers[4].status} <= {200, 404, 422}
    assert (like.status, answers[5].status) == (404, 200)
    assert {hit["id"] for hit in others[0].data["results"]} == LEFT
    for answer in answers[:3]:
        found = answer.data.get("results", [])
        told = [*found, *(twin for hit in found for twin in hit.get("duplicates", []))]
        assert {hit["id"] for hit in told} >= LEFT or answer.status != 200
        assert all(hit["path"] is None or hit["path"].endswith(f"/{hit['id']}") for hit in told), "of another item"
        assert all(hit["path"] for hit in told if hit["id"] in LEFT)
    assert {f"photos/{hit['path'].split('/')[-1]}" for hit in answers[3].data if hit["path"]} >= LEFT
