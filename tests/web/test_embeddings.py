"""Embeddings in OpenAI's form, compared with what the model itself gives."""

import base64
import json

import numpy as np
import pytest
from nasty_bodies import NASTY
from serving import UPLOAD_MB, running

import fusemix
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.web.service import TOGETHER
from fusemix.wiring.searching.searcher import Searcher

TEXTS = ["a red square", "one blue circle", "bar"]


def b64(raw):
    return base64.b64encode(raw).decode()


def embed(server, request, **headers):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return server.ask("/v1/embeddings", body, headers={"Content-Type": "application/json", **headers})


def vectors(answer):
    assert answer.status == 200, answer
    assert [each["index"] for each in answer.data["data"]] == list(range(len(answer.data["data"])))
    return np.array([each["embedding"] for each in answer.data["data"]], np.float32)


@pytest.fixture(scope="module")
def model(tiny):
    return fusemix.load(tiny.run, device="cpu")


def test_texts_pictures_and_sounds_get_the_embeddings_that_the_model_gives(server, model, tiny):
    picture, sound = tiny.files["image"][4], tiny.files["audio"][2]
    files = [f"data:image/png;base64,{b64(picture.read_bytes())}", f"data:audio/wav;base64,{b64(sound.read_bytes())}"]
    found = vectors(embed(server, {"model": "any", "input": [TEXTS[0], *files, TEXTS[1]]}))
    expected = [
        model.encode(text=[TEXTS[0]])[0],
        model.encode(image=[picture])[0],
        model.encode(audio=[sound])[0],
        model.encode(text=[TEXTS[1]])[0],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_answer_has_openai_s_form(server, tiny):
    one = embed(server, {"model": "text-embedding-3-small", "input": "one blue circle", "user": "me"}).data
    assert list(one) == ["object", "data", "model", "usage"]
    assert (one["object"], one["model"]) == ("list", tiny.run.name)
    assert one["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (one["data"][0]["object"], len(one["data"][0]["embedding"])) == ("embedding", 16)


def test_base64_holds_the_same_numbers_as_little_endian_float32(server):
    exact = vectors(embed(server, {"model": "m", "input": TEXTS, "encoding_format": "float"}))
    sent = embed(server, {"model": "m", "input": TEXTS, "encoding_format": "base64"}).data["data"]
    found = np.stack([np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in sent])
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_fewer_dimensions_are_the_first_ones_at_unit_length(server):
    whole = vectors(embed(server, {"model": "m", "input": TEXTS}))
    few = vectors(embed(server, {"model": "m", "input": TEXTS, "dimensions": 5}))
    expected = whole[:, :5] / np.linalg.norm(whole[:, :5], axis=1, keepdims=True)
    np.testing.assert_allclose(few, expected, atol=1e-5)
    assert vectors(embed(server, {"model": "m", "input": TEXTS, "dimensions": 16})).shape == (3, 16)


def test_many_texts_are_each_themselves_whatever_they_are_encoded_with(server):
    texts = [f"{TEXTS[place % 3]} {place}" for place in range(2 * TOGETHER + 5)]
    found = vectors(embed(server, {"model": "m", "input": texts}))
    for place in (0, TOGETHER - 1, TOGETHER, len(texts) - 1):
        alone = vectors(embed(server, {"model": "m", "input": texts[place]}))
        np.testing.assert_allclose(found[place], alone[0], atol=1e-5)


def test_an_embedding_finds_what_its_text_finds(server):
    (vector,) = vectors(embed(server, {"model": "m", "input": "a red square"}))
    by_vector = server.search({"embedding": vector.tolist(), "embedding_of": "text", "k": 84}).data["results"]
    by_text = server.search({"text": "a red square", "k": 84}).data["results"]
    assert {hit["id"]: hit["score"] for hit in by_vector} == pytest.approx(
        {hit["id"]: hit["score"] for hit in by_text}, abs=1e-5
    )


WRONG = "must be a text, or a list of 1 to 2,048 texts and data URIs; no tokens"


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (b"{", 400, "the body is not valid JSON"),
        ([], 422, 'the body must be a JSON object such as {"model": "any", "input"'),
        ({"model": "m"}, 422, f"input {WRONG}"),
        ({"input": []}, 422, f"input {WRONG}"),
        ({"input": [[1, 2, 3]]}, 422, f"input {WRONG}"),
        ({"input": ["a"] * 2049}, 422, f"input {WRONG}"),
        ({"input": "a", "encoding_format": "int8"}, 422, "encoding_format must be float or base64"),
        ({"input": "a", "dimensions": 0}, 422, "dimensions must be a whole number from 1"),
        ({"input": "a", "dimensions": 17}, 422, "dimensions is 17, and the embeddings have 16; 16 are the most"),
        ({"input": ["a", " "]}, 422, "input[1] must be a text of 1 to 2,000 characters"),
        ({"input": ["a", "b" * 2001]}, 422, "input[1] must be a text of 1 to 2,000 characters"),
        ({"input": "data:video/mp4;base64,AAAA"}, 422, "input[0]: the model of this server knows no video; it embeds"),
        ({"input": "data:image/png,AAAA"}, 422, "input[0]: a data URI must be a picture or a sound in base64"),
        ({"input": "data:text/plain;base64,AAAA"}, 422, "input[0]: a data URI must be a picture or a sound"),
        ({"input": "data:image/png;base64,?"}, 422, "image is not valid base64"),
        ({"input": f"data:image/svg+xml;base64,{b64(b'<svg/>')}"}, 422, "the picture cannot be read; JPEG, PNG"),
        ({"input": f"data:image/png;base64,{b64(bytes(1_000_001))}"}, 413, "the image file has 1.0 MB; 1 MB are"),
        ({"input": "a" * 1_500_000}, 413, "the request is larger than the 1.5 MB that are taken here"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_openai_s_form(server, request_, status, message):
    answer = embed(server, request_)
    assert answer.status == status
    error = answer.data["error"]
    assert error["message"].startswith(message)
    assert {**error, "message": ""} == {"message": "", "type": "invalid_request_error", "param": None, "code": None}


def test_errors_of_before_the_route_have_that_form_too_and_a_browser_gets_a_page(server, locked):
    assert embed(server, b"{}", **{"Content-Type": "text/plain"}).data["error"]["message"].startswith("send JSON")
    assert server.ask("/v1/nothing").data["error"]["message"] == "there is nothing at this address"
    assert embed(locked, {"input": "a"}).data["error"]["code"] == "invalid_api_key"
    page = server.ask("/v1/embeddings", headers={"Accept": "text/html"})
    assert "<p>This address takes no such method.</p>" in page.body.decode()


class Unordered(Searcher):
    """One whose model is not turned onto its principal axes."""

    can_be_cut = False

    def __init__(self, searcher):
        vars(self).update(vars(searcher))


def test_where_embeddings_have_no_order_they_are_not_cut(searcher):
    assert searcher.can_be_cut
    with (
        Batcher(Unordered(searcher)) as batcher,
        running(create_app(batcher, max_upload_mb=UPLOAD_MB, hosts=LOCAL)) as server,
    ):
        answer = embed(server, {"input": "a", "dimensions": 5})
    assert answer.data["error"]["message"] == (
        "dimensions must be 16: embeddings of this model have no order to be cut by"
    )


@pytest.mark.parametrize("path", ["/v1/embeddings", "/knn-service"])
def test_nasty_bodies_get_a_sentence_here_too(server, path):
    as_inputs = [b'{"input": ["\\ud800", "a"]}', b'{"input": "data:image/png;base64,\\ud800"}', b'{"text": "\\ud800"}']
    for body in [*NASTY, *as_inputs]:
        answer = server.ask(path, body, headers={"Content-Type": "application/json"})
        assert answer.status in (200, 400, 413, 422), (body[:200], answer)
