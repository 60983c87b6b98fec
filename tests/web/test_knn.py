"""Searches as clip-retrieval's client sends them: its body, without a Content-Type."""

import base64
import json

import pytest

SENT = {
    **{"text": None, "image": None, "image_url": None, "embedding_input": None},
    **{"deduplicate": True, "use_safety_model": True, "use_violence_detector": True, "indice_name": "laion5B"},
    **{"use_mclip": False, "aesthetic_score": 9, "aesthetic_weight": 0.5, "modality": "image"},
    **{"num_images": 40, "num_result_ids": 40, "verbose": False},
}
"""What ClipClient of clip-retrieval 2.45 sends where nothing is said."""


def ask(server, headers=None, **fields):
    return server.ask("/knn-service", json.dumps({**SENT, **fields}).encode(), headers=headers)


def as_pairs(found):
    return [(item["id"], item["similarity"]) for item in found]


def test_a_text_finds_what_a_search_finds(server):
    found = ask(server, text="a red square", num_images=10).data
    expected = server.search({"text": "a red square", "k": 10, "modality": "image"}).data["results"]
    assert as_pairs(found) == [(hit["position"], pytest.approx(hit["score"], abs=1e-5)) for hit in expected]
    for item, hit in zip(found, expected, strict=True):
        assert item["url"] == f"{server.url}{hit['media']}"
        assert (item["caption"], item["path"]) == (hit["captions"][0], hit["path"])
    assert server.ask(found[0]["url"].removeprefix(server.url)).headers["content-type"] == "image/jpeg"


def test_a_picture_and_an_embedding_find_what_a_search_finds(server, tiny):
    picture = base64.b64encode(tiny.files["image"][7].read_bytes()).decode()
    assert ask(server, image=picture).data[0]["id"] == 7
    vector = [1.0, *[0.0] * 15]
    expected = server.search({"embedding": vector, "k": 40, "modality": "image"}).data["results"]
    found = ask(server, embedding_input=vector).data
    assert as_pairs(found) == [(hit["position"], pytest.approx(hit["score"], abs=1e-5)) for hit in expected]


def test_a_modality_is_heeded_where_the_index_holds_it(server):
    assert {item["id"] >= 60 for item in ask(server, text="bar", modality="text").data} == {True}
    every = ask(server, text="bar", modality="video", num_images=1000).data
    assert sorted(item["id"] for item in every) == list(range(60)), "a text asks for no texts"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_url": "http://127.0.0.1/x.png"}, "image_url is not fetched by this server; send the picture itself"),
        ({}, "give one of text, image and embedding_input"),
        ({"text": "a", "image": "b"}, "give one of text, image and embedding_input"),
        ({"text": "a", "num_images": 0}, "num_images must be a whole number from 1 to 1,000"),
        ({"text": 1}, "text must be a string of Unicode text"),
        ({"embedding_input": ["a"]}, "embedding_input must be a list of finite numbers"),
        ({"embedding_input": [1.0]}, "the embedding must be 16 finite numbers"),
        ({"image": "AAAA"}, "the picture cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(server, fields, message):
    answer = ask(server, **fields)
    assert answer.status == 422
    assert answer.error.startswith(message)


def test_a_body_of_no_stated_type_is_taken_from_programs_and_not_from_pages_of_other_sites(server):
    assert ask(server, text="bar").status == 200
    assert ask(server, text="bar", headers={"Content-Type": "application/json"}).status == 200
    assert ask(server, text="bar", headers={"Origin": "https://evil.example"}).status == 415
    assert ask(server, text="bar", headers={"Content-Type": "text/plain"}).status == 415


def test_the_one_index_is_listed(server):
    assert server.ask("/indices-list").data == ["index"]
