"""A server below a path, as a proxy has it: links, media, cookies, and the page in a browser."""

import json
import re

import pytest
from browsing import FIRST, drop, searched, settled, type_and_search
from serving import BASE, BEARER, NAME, TOKEN

from fusemix.errors import ConfigError
from fusemix.web.base_path import OWN, require_base_path


@pytest.mark.parametrize("base", ["photos", "/photos/", "/", "//a", "/a b", "/a/../b", "/ä", "/a?b", "https://a/b"])
def test_what_is_no_path_is_refused(base):
    with pytest.raises(ConfigError, match="but must be a path such as /photos, without a slash at its end"):
        require_base_path(base)


@pytest.mark.parametrize("base", ["/media", "/v1/photos", "/healthz"])
def test_a_base_that_begins_as_paths_of_the_server_do_is_refused(base):
    with pytest.raises(ConfigError, match="the server has paths of its own that begin so"):
        require_base_path(base)


def test_every_path_of_the_server_begins_with_what_no_base_may_begin_with(server):
    document = server.ask("/openapi.json").data
    assert {path.split("/")[1] for path in document["paths"]} | {"static", "openapi.json"} == set(OWN)
    for base in ("", "/photos", "/a/b-1.0"):
        require_base_path(base)


@pytest.mark.parametrize("base", ["", BASE])
def test_a_proxy_may_leave_the_base_in_the_path_or_take_it_away(locked, base):
    page = locked.ask(f"{base}/", headers=BEARER)
    links = re.findall(r'(?:href|src)="([^"#]*)"', page.body.decode())
    assert links
    assert all(link.startswith(f"{BASE}/") for link in links)
    for link in links:
        assert locked.ask(base + link.removeprefix(BASE), headers=BEARER).status == 200
    answer = locked.ask(
        f"{base}/api/search", b'{"text": "bar", "k": 2}', headers={**BEARER, "Content-Type": "application/json"}
    )
    assert answer.data["query"]["link"] == f"{BASE}/?q=bar"
    assert all(hit["media"].startswith(f"{BASE}/media/") for hit in answer.data["results"])
    assert locked.ask(f"{base}/openapi.json", headers=BEARER).data["servers"] == [{"url": BASE}]


def test_the_base_itself_is_the_page_and_what_only_begins_like_it_is_nothing(locked):
    assert locked.ask(BASE, headers=BEARER).body == locked.ask(f"{BASE}/", headers=BEARER).body
    for path in (f"{BASE}x", f"{BASE}{BASE}/api/index", "/other/api/index"):
        assert locked.ask(path, headers=BEARER).status == 404


def test_a_page_with_an_error_leads_back_below_the_base(locked):
    page = locked.ask("/nowhere", headers={**BEARER, "Accept": "text/html"})
    assert f'<a href="{BASE}/">' in page.body.decode()


def test_what_clip_retrieval_is_told_lies_where_the_visitor_reaches_it(locked):
    passed_on = {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    body = json.dumps({"text": "bar", "num_images": 1}).encode()
    (found,) = locked.ask("/knn-service", body, headers={**BEARER, **passed_on}).data
    assert found["url"].startswith(f"https://{NAME}{BASE}/media/")


def test_the_page_works_below_a_path(visit, locked, tiny):
    tab = visit(f"{BASE}/?token={TOKEN}", url=locked.url)
    type_and_search(tab, "a red square")
    shown = searched(tab, f"{BASE}/?q=a+red+square")
    asked = {"text": "a red square", "k": FIRST, "group_duplicates": True}
    assert len(shown) == len(locked.search(asked, **BEARER).data["results"]) > 20
    load = "async (picture) => { picture.loading = 'eager'; await picture.decode(); return picture.naturalWidth > 0; }"
    assert all(tab.locator(".hit img").evaluate_all(f"(all) => Promise.all(all.map({load}))"))
    drop(tab, tiny.files["image"][3], "image/png")
    settled(tab)
    assert tab.url.startswith(f"{locked.url}{BASE}/?e=image.")
    tab.go_back()
    searched(tab, f"{BASE}/?q=a+red+square")
    tab.locator("#home").click()
    assert tab.evaluate("location.pathname + location.search") == f"{BASE}/"
    curl = tab.locator("#curl").evaluate("(code) => code.textContent")
    assert curl.startswith(f"curl {locked.url}{BASE}/api/search -H ")
    assert '-H "Authorization: Bearer $FUSEMIX_TOKEN"' in curl
