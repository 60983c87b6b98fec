"""Several searches in one request: each has its own answer, or its own error."""

import base64
import json

import pytest
from nasty_bodies import FILES


def test_each_search_of_a_batch_gets_what_it_gets_alone(server, tiny, searcher):
    picture = base64.b64encode(tiny.files["image"][7].read_bytes()).decode()
    searches = [
        {"text": "a red square", "k": 3},
        {"like": searcher.index.items([40])[0]["id"], "k": 84, "modality": "audio"},
        {"queries": [{"text": "bar"}, {"image": picture}]},
    ]
    answers = server.search({"batch": searches}).data["answers"]
    for search, found in zip(searches, answers, strict=True):
        alone = server.search(search).data
        assert [hit["id"] for hit in found["results"]] == [hit["id"] for hit in alone["results"]]
        scores = [hit["score"] for hit in alone["results"]]
        assert [hit["score"] for hit in found["results"]] == pytest.approx(scores, abs=1e-5)
        assert (found["query"], set(found)) == (alone["query"], set(alone))


def test_one_that_cannot_be_answered_leaves_the_others_alone(server):
    wrong = [
        {"like": "nobody"},
        {"text": "a", "k": 0},
        {"txt": "a"},
        {},
        {"batch": [{"text": "a"}]},
        {"image": base64.b64encode(FILES[2]).decode()},
        {"text": "a", "modality": "video"},
    ]
    good = {"text": "bar", "k": 2}
    answers = server.search({"batch": [good, *wrong, good]}).data["answers"]
    assert [len(answers[place]["results"]) for place in (0, -1)] == [2, 2]
    for search, found in zip(wrong, answers[1:-1], strict=True):
        assert set(found) == {"error", "status"}
        if "batch" not in search:
            alone = server.search(search)
            assert (found["status"], found["error"]) == (alone.status, alone.error)
    assert answers[5]["error"] == "a search of a batch has no 'batch' of its own"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"batch": []}, "batch must be a list of 1 to 16 objects, each a search of its own"),
        ({"batch": [{"text": "a"}] * 17}, "batch must be a list of 1 to 16 objects, each a search of its own"),
        ({"batch": ["a"]}, "batch must be a list of 1 to 16 objects, each a search of its own"),
        ({"batch": [{"text": "a"}], "k": 3}, "give either 'batch' or 'k', not both; each search of a batch has its"),
        ({"batch": [{"text": "a"}], "text": "b"}, "give either 'batch' or 'text', not both"),
    ],
)
def test_what_is_no_batch_is_refused_in_one_sentence(server, body, message):
    answer = server.search(json.dumps(body).encode())
    assert answer.status == 422
    assert answer.error.startswith(message)
