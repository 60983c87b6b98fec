"""Refusals as people see them: a page where a browser asks for one, and JSON for programs."""

import re

import pytest

from fusemix.web.error_page import error_page, prefers_page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PAGE = {"Accept": BROWSER}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/*, application/json;q=0.5", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html;q=0.9", False),
        ("application/json, text/html", False),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", False),
        ("text/html;q=0", False),
        (";;q=,,=/*/;q=nan", False),
    ],
)
def test_a_page_is_for_who_wants_it_more_than_json(accept, expected):
    assert prefers_page(accept) == expected


@pytest.mark.parametrize(
    ("path", "method", "status", "sentence"),
    [
        ("/nowhere", "GET", 404, "There is nothing at this address."),
        ("/static/nothing.css", "GET", 404, "There is nothing at this address."),
        ("/media/999", "GET", 404, "No item of the index has this number."),
        ("/api/search", "GET", 405, "This address takes no such method."),
        ("/media/1?size=huge", "GET", 422, "Size must be one of small, large, outline."),
        ("/api/search", "POST", 415, "Send JSON, and say so: Content-Type: application/json."),
    ],
)
def test_a_browser_gets_a_page_and_a_program_the_same_sentence_as_json(server, path, method, status, sentence):
    page = server.ask(path, method=method, headers=PAGE)
    assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert int(page.headers["content-length"]) == len(page.body)
    assert f"<p>{sentence}</p>" in page.body.decode()
    assert '<a href="/">' in page.body.decode()
    told = server.ask(path, method=method, headers={"Accept": "*/*"})
    assert (told.status, f"{told.error}.".lower()) == (status, sentence.lower())


def test_a_page_says_what_the_server_is_called_and_shows_a_hostile_name_as_it_is(server):
    page = server.ask("/", headers={**PAGE, "Host": "<script>alert(1)</script>"})
    assert page.status == 421
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.body.decode()
    assert "<script" not in page.body.decode()
    assert "<a " not in page.body.decode(), "the way back would be refused as well"


def test_what_is_no_error_and_what_is_asked_for_by_head_stay_as_they_were(server):
    assert server.ask("/healthz", headers=PAGE).data == {"status": "ok"}
    got, head = (server.ask("/nowhere", method=method, headers=PAGE) for method in ("GET", "HEAD"))
    assert head.body == b""
    assert {**got.headers, "date": ""} == {**head.headers, "date": ""}


def test_each_status_has_a_page():
    for status in (400, 404, 405, 408, 413, 415, 416, 421, 422, 500, 503):
        assert re.search(rf"<title>[\w ]+ · fusemix</title>.*>{status}<", error_page(status, "a sentence").decode())


def test_the_page_has_its_style_and_a_way_back(visit):
    visit.expected += ["Failed to load resource: the server responded with a status of 404"]
    tab = visit("/nowhere", color_scheme="dark", viewport={"width": 390, "height": 700})
    assert tab.locator("h1").inner_text() == "Not Found"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.get_by_role("link").click()
    assert tab.locator("#words").is_visible()
