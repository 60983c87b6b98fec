import base64
import io
import json

import pytest
import soundfile
from hub_samples import by_definition
from index_samples import asked
from nasty_bodies import NASTY
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
ATTACKS = [
    "/media/../../etc/passwd",
    "/media/..%2f..%2fetc%2fpasswd",
    "/media/%2e%2e/%2e%2e/etc/passwd",
    "/media/%2fetc%2fpasswd",
    "/media/0/../../etc/passwd",
    "/media/0%00.png",
    "/media/-1",
    "/media/+1",
    "/media/1e1",
    "/media/٣",
    "/media/0x1",
    "/media/ 1",
    "/media/",
    "/media",
    f"/media/{'9' * 5000}",
    "/media/999999999999",
    "/static/../page.py",
    "/static/..%2fpage.py",
    "/static/..%5cpage.py",
    "/static/%2e%2e/page.py",
    "/static/page.html.j2",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/page.js/",
    "/static/page.js%00",
    "/static/",
    "//etc/passwd",
    "/../../etc/passwd",
    "/..%c0%af..%c0%afetc/passwd",
    "/docs",
    "/redoc",
    "/.git/config",
    "/api/index/../../etc/passwd",
    "/file=/etc/passwd",
]


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


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (b'{"text": ', 400, "the body is not valid JSON: Expecting value at character 9"),
        (b"[" * 100_000, 400, "the body is not valid JSON"),
        (b"\xff\xff", 400, "the body is not valid JSON"),
        ([1], 422, 'the body must be a JSON object such as {"text": "a dog", "k": 10}'),
        ({}, 422, "nothing to search for; give one of text, image, audio, like, embedding"),
        ({"txt": "a"}, 422, "there is no field 'txt'. Did you mean 'text'? Known: text, image"),
        ({"queries": [{"k": 3}]}, 422, "there is no field 'k'. Known: text, image, audio, like, embedding"),
        ({"text": "a", "like": "b"}, 422, "give one of text and like; several go into 'queries'"),
        ({"text": "a", "queries": [{"text": "b"}]}, 422, "give either 'queries' or 'text', not both"),
        ({"queries": [{"text": "a"}, {}]}, 422, "queries[1]: nothing to search for"),
        ({"queries": [{"text": "a"}, {"text": 1}]}, 422, "queries[1].text must be a string"),
        ({"queries": []}, 422, "queries must be a list of 1 to 16 objects"),
        ({"queries": [{"text": "a"}] * 17}, 422, "queries must be a list of 1 to 16 objects"),
        ({"text": 1}, 422, "text must be a string of Unicode text, of at most 2,000 characters"),
        ({"text": "a" * 2001}, 422, "text must be a string of Unicode text, of at most 2,000 characters"),
        ({"text": " \t\0"}, 422, "the text is empty"),
        ({"text": "a", "k": 0}, 422, "k must be a whole number from 1 to 1,000"),
        ({"text": "a", "k": 1001}, 422, "k must be a whole number from 1 to 1,000"),
        ({"text": "a", "k": True}, 422, "k must be a whole number from 1 to 1,000"),
        ({"text": "a", "k": "10"}, 422, "k must be a whole number from 1 to 1,000"),
        ({"like": "nobody"}, 404, "no item of the index has the id 'nobody'"),
        ({"text": "a", "group_duplicates": "yes"}, 422, "group_duplicates must be true or false"),
        ({"image": "?"}, 422, "image is not valid base64"),
        ({"image": "ä"}, 422, "image is not valid base64"),
        ({"image": b64(b"<svg/>")}, 422, "the picture cannot be read; JPEG, PNG"),
        ({"audio": b64(b"RIFF")}, 422, "the sound cannot be read; WAV"),
        ({"image": b64(bytes(1_000_001))}, 413, "the image file has 1.0 MB; 1 MB are the most"),
        ({"embedding": [1, 2]}, 422, "the embedding must be 16 finite numbers, not all zero; these are 2"),
        ({"embedding": [float("nan")] * 16}, 422, "embedding must be a list of finite numbers, or float16"),
        ({"embedding": [0] * 16}, 422, "the embedding must be 16 finite numbers, not all zero"),
        ({"embedding": [1e300] * 16}, 422, "the embedding must be 16 finite numbers, not all zero"),
        ({"embedding": "AAA"}, 422, "the embedding must be 16 finite numbers, not all zero; these are 1"),
        (
            {"queries": [{"embedding": [1.0] * 16}, {"embedding": [-1.0] * 16}]},
            422,
            "the queries cancel out: nothing is near to all of them",
        ),
        (
            {"queries": [{"text": "a", "weight": 2}, {"text": "a", "weight": -2}]},
            422,
            "the queries cancel out: nothing is near to all of them",
        ),
        ({"text": "a", "weight": 0}, 422, "weight must be a number from -100 to 100, other than 0"),
        ({"text": "a", "weight": "2"}, 422, "weight must be a number from -100 to 100, other than 0"),
        ({"text": "a", "weight": True}, 422, "weight must be a number from -100 to 100, other than 0"),
        ({"queries": [{"text": "a"}, {"text": "b", "weight": 101}]}, 422, "queries[1].weight must be a number from"),
        (b'{"text": "a", "weight": NaN}', 422, "weight must be a number from -100 to 100, other than 0"),
        (b'{"text": "a", "weight": 1e999}', 422, "weight must be a number from -100 to 100, other than 0"),
        ({"weight": 2, "queries": [{"text": "a"}]}, 422, "give a 'weight' to each of 'queries', not beside them"),
        ({"queries": [{"text": "a", "wieght": 2}]}, 422, "there is no field 'wieght'. Did you mean 'weight'?"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(server, query, status, message):
    answer = server.search(query)
    assert answer.status == status
    assert answer.error.startswith(message)


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_what_does_not_say_that_it_is_json_is_refused(server, kind):
    """A page of another site can send a form without asking, but no JSON."""
    answer = server.ask("/api/search", b'{"text": "a"}', headers={} if kind is None else {"Content-Type": kind})
    assert (answer.status, answer.error) == (415, "send JSON, and say so: Content-Type: application/json")
    assert server.search({"text": "a"}, **{"Content-Type": "Application/JSON; charset=utf-8"}).status == 200


def test_a_hundred_nasty_bodies_get_a_sentence_and_never_an_error_of_the_server(server):
    assert len(NASTY) >= 100
    for body in NASTY:
        answer = server.search(body)
        assert answer.status in (200, 400, 404, 413, 422), (body[:200], answer)
        assert len(answer.error if answer.status != 200 else "ok") < 400
    assert server.search({"text": "still there"}).status == 200


@pytest.mark.parametrize("path", ATTACKS)
def test_no_path_reaches_a_file(server, path):
    answer = server.ask(path.replace("٣", "%D9%A3").replace(" ", "%20"))
    assert answer.status in (400, 404)
    if answer.status == 404:
        assert answer.error in ("there is nothing at this address", "no item of the index has this number")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/search", "GET"), ("/api/search", "PUT"), ("/", "POST"), ("/media/0", "DELETE"), ("/api/index", "PATCH")],
)
def test_another_method_is_refused(server, path, method):
    answer = server.ask(path, method=method)
    assert (answer.status, answer.error) == (405, "this address takes no such method")


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
