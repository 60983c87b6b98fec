"""`POST /api/search`, and what else a server tells programs."""

import base64
import io
import json

import pytest
import soundfile
from hub_samples import by_definition
from index_samples import asked
from PIL import Image
from serving import UPLOAD_MB, running

from fusemix.models.queries import Query
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.web.requests import SearchRequest, encoded

RESULT = ["position", "score", "id", "modality", "path", "captions", "media"]
PATHS = {
    *(
        "/api/search",
        "/api/index",
        "/api/filters",
        "/media/{position}",
        "/v1/embeddings",
        "/knn-service",
        "/indices-list",
    ),
    *("/indices-list", "/healthz", "/metrics"),
}


def b64(raw):
    return base64.b64encode(raw).decode()


def test_a_text_finds_what_the_searcher_finds(server, searcher):
    answer = server.search({"text": "a red square", "k": 5})
    assert answer.status == 200
    (expected,) = searcher.search(asked(searcher, [Query("text", "a red square")]), 5)
    for found, hit in zip(answer.data["results"], expected, strict=True):
        assert list(found) == RESULT
        assert found["score"] == pytest.approx(hit.score, abs=1e-5)
        assert {name: found[name] for name in RESULT if name not in ("score", "media")} == {
            name: value for name, value in hit._asdict().items() if name != "score"
        }
    took = answer.data["took_ms"]
    assert 0 < took["encode"] < took["total"]
    assert 0 < took["search"] < took["total"]
    assert answer.data["query"] == {
        "link": "/?q=a+red+square",
        "parts": [{"kind": "text", "text": "a red square"}],
    }


def test_twenty_items_are_listed_where_nothing_else_is_said_and_all_where_more_are_wanted_than_there_are(server):
    assert len(server.search({"text": "bar"}).data["results"]) == 20
    every = server.search({"text": "bar", "k": 1000, "modality": "any"}).data["results"]
    assert sorted(found["position"] for found in every) == list(range(84))


@pytest.mark.parametrize(("kind", "place", "position"), [("image", 7, 7), ("audio", 3, 39)])
def test_a_file_of_the_index_finds_itself_and_its_embedding_finds_the_same(
    server, searcher, tiny, kind, place, position
):
    raw = tiny.files[kind][place].read_bytes()
    answer = server.search({kind: b64(raw), "k": 84}).data
    assert answer["results"][0]["position"] == position
    level = searcher.embedder.trained.hubs.levels[f"{kind}_to_{kind}"]
    assert answer["results"][0]["score"] == pytest.approx(1 - level, abs=2e-3)
    (part,) = answer["query"]["parts"]
    assert part["kind"] == kind
    assert answer["query"]["link"] == f"/?e={kind}.{part['embedding']}"
    again = server.search({"embedding": part["embedding"], "embedding_of": kind, "k": 84}).data
    assert again["results"] == answer["results"], "to the last digit"
    wrapped = base64.encodebytes(raw).decode().rstrip("=\n")
    assert server.search({kind: wrapped, "k": 84}).data["results"] == answer["results"], "line breaks do not matter"


def test_an_item_finds_itself_first_and_says_what_it_is(server, searcher):
    item = searcher.index.items([40])[0]
    answer = server.search({"like": item["id"], "k": 3}).data
    assert answer["results"][0]["id"] == item["id"]
    (part,) = answer["query"]["parts"]
    assert (part["like"], part["position"], part["modality"]) == (item["id"], 40, "audio")
    assert answer["query"]["link"] == "/?like=audio_captions%2Fall%2Faudio%2F04.wav"


def test_several_queries_are_added_up(server, searcher):
    item = searcher.index.items([40])[0]["id"]
    answer = server.search({"queries": [{"text": "a & b = c"}, {"like": item}], "modality": "any", "k": 84}).data
    hubs = searcher.embedder.trained.hubs
    wanted = by_definition(searcher, [Query("text", "a & b = c"), Query("like", item)], hubs, hubs.levels)
    assert {found["id"]: found["score"] for found in answer["results"]} == pytest.approx(wanted, abs=1e-5)
    assert answer["query"]["link"] == "/?q=a+%26+b+%3D+c&like=audio_captions%2Fall%2Faudio%2F04.wav&of=any"


def test_an_embedding_may_be_numbers_of_any_length(server, searcher):
    vector = searcher.embed([Query("text", "bar")])[0]
    one = server.search({"embedding": (3 * vector).tolist(), "embedding_of": "text"}).data
    other = server.search({"text": "bar"}).data
    assert [found["id"] for found in one["results"]] == [found["id"] for found in other["results"]]
    assert one["query"]["parts"] == [{"kind": "embedding", "embedding": encoded(vector), "embedding_of": "text"}]


def test_where_one_modality_is_wanted_its_level_is_given_back(server, searcher):
    hubs, query = searcher.embedder.trained.hubs, {"like": searcher.index.items([3])[0]["id"], "k": 84}
    wanted = by_definition(searcher, [Query("like", query["like"])], hubs, {})
    results = server.search({**query, "modality": "image"}).data["results"]
    assert {found["id"]: found["score"] for found in results} == pytest.approx(
        {found["id"]: wanted[found["id"]] for found in results}, abs=1e-5
    )
    assert (len(results), results[0]["id"], results[0]["score"]) == (36, query["like"], pytest.approx(1, abs=1e-5))


def test_what_is_searched_and_what_is_allowed_is_told(server, searcher, tiny):
    assert server.ask("/api/index").data == {
        "name": "index",
        "model": tiny.run.name,
        "num_items": 84,
        "counts": {"audio": 24, "image": 36, "text": 24},
        "modalities": list(searcher.modalities),
        "dim": 16,
        "limits": {
            "characters": 2000,
            "queries": 16,
            "batch": 16,
            "k": 1000,
            "upload_mb": 1,
            "megapixels": 64,
            "minutes": 10,
        },
    }
    assert server.ask("/healthz").data == {"status": "ok"}


def test_openapi_lists_every_field_of_a_search(server):
    document = server.ask("/openapi.json").data
    assert set(document["paths"]) == PATHS
    assert "servers" not in document, "it lies at the root"
    schema = document["paths"]["/api/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == set(SearchRequest.model_fields)
    assert schema["additionalProperties"] is False
    part = schema["properties"]["queries"]["anyOf"][0]["items"]
    assert set(part["properties"]) == set(SearchRequest.model_fields) - {
        "queries",
        "k",
        "modality",
        "filter",
        "group_duplicates",
        "batch",
    }
    alone = schema["properties"]["batch"]["anyOf"][0]["items"]
    assert set(alone["properties"]) == set(SearchRequest.model_fields) - {"batch"}
    assert alone["properties"]["queries"]["anyOf"][0]["items"] == part
    assert "$ref" not in json.dumps(schema)


def test_pictures_are_sent_small_or_large_and_sounds_as_mp3_with_an_outline(server, tiny):
    small, large = server.ask("/media/5"), server.ask("/media/5?size=large")
    for answer in (small, large):
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.body)).size == Image.open(tiny.files["image"][5]).size
    sound = server.ask("/media/40")
    assert sound.headers["content-type"] == "audio/mpeg"
    wave = soundfile.info(tiny.files["audio"][4])
    assert soundfile.info(io.BytesIO(sound.body)).duration == pytest.approx(wave.duration, abs=0.1)
    outline = server.ask("/media/40?size=outline")
    assert (outline.headers["content-type"], outline.body[:4]) == ("image/svg+xml", b"<svg")
    text = server.ask("/media/60")
    assert (text.headers["content-type"], text.body) == ("text/plain; charset=utf-8", b"a low tone")
    assert server.ask("/media/5?size=outline").status == 404
    wrong = server.ask("/media/5?size=../../etc/passwd")
    assert (wrong.status, wrong.error) == (422, "size must be one of small, large, outline")


def test_bodies_are_json_that_any_parser_reads(server):
    body = server.search({"text": "ünïcode 🐕", "k": 1}).body
    assert json.loads(body.decode("utf-8"))["query"]["parts"][0]["text"] == "ünïcode 🐕"


def test_where_files_lie_on_this_machine_is_told_only_where_it_was_asked_for(searcher, server, tiny):
    picture = {"like": "image_captions/all/image/05.png", "k": 1}
    (hidden,) = server.search(picture).data["results"]
    assert "within" not in hidden
    assert hidden["path"] == searcher.index.items([hidden["position"]])[0]["path"]
    shows = {"max_upload_mb": UPLOAD_MB, "hosts": LOCAL, "show_paths": True}
    with Batcher(searcher) as batcher, running(create_app(batcher, **shows)) as open_one:
        (shown,) = open_one.search(picture).data["results"]
        (text,) = open_one.search({**picture, "like": "audio_captions/all/text/00.wav#0", "modality": "text"}).data[
            "results"
        ]
    assert (shown["path"], shown["within"]) == (str(tiny.files["image"][5]), None)
    assert text["path"] is None
