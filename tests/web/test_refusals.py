"""What a server does not answer: bodies that say nothing that can be asked, and addresses that it has not."""

import base64

import pytest
from nasty_bodies import NASTY

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
