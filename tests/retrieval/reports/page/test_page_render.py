import hashlib
import json
import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest
from page_samples import HOSTILE, draw, page, report


class Outline(HTMLParser):
    """Elements with their attributes, and the text of each script; void elements have no end."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.problems, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", params=["image", "audio"])
def html(request):
    return page(request.param)


@pytest.fixture(scope="module")
def outline(html):
    parsed = Outline()
    parsed.feed(html)
    return parsed


def test_the_page_is_well_formed_and_its_ids_are_unique(outline):
    assert outline.problems == []
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_names_no_address_and_its_policy_allows_only_what_it_carries(html, outline):
    sources = [a.get(key) for _, a in outline.elements for key in ("src", "href", "action", "data", "poster")]
    assert {source[:5] for source in sources if source and not source.startswith("#")} <= {"data:"}
    assert not re.search(r"@import|url\((?!#)", html)
    (policy,) = [a["content"] for a in outline.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    code = next(text for attributes, text in outline.scripts if "type" not in attributes)
    assert f"script-src 'sha256-{b64encode(hashlib.sha256(code.encode()).digest()).decode()}';" in policy


def test_hostile_captions_ids_and_names_stay_text(outline):
    assert len(outline.scripts) == 2, "one for data, one for code"
    assert not any(key.startswith("on") for _, attributes in outline.elements for key in attributes)
    assert not [a for a in outline.all("img") if a.get("src") == "x"]


def test_a_hostile_caption_is_shown_as_it_is(html):
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = escaped.replace('"', "&#34;").replace("'", "&#39;")
    assert escaped in html
    assert HOSTILE not in html
    assert "{{ 7 * 7 }}" in html, "a caption is no template"


def test_each_medium_is_in_the_page_once_and_every_reference_finds_it(html, outline):
    media = json.loads(next(text for attributes, text in outline.scripts if attributes.get("id") == "media"))
    used = [attributes["data-medium"] for _, attributes in outline.elements if "data-medium" in attributes]
    assert set(used) == set(media)
    assert len(media) == 5
    assert len(used) > len(media)
    assert all(html.count(uri) == 1 for uri in media.values())
    targets = {attributes["id"] for _, attributes in outline.elements if "id" in attributes}
    assert {a["href"][1:] for a in outline.all("use") + outline.all("a")} <= targets


def test_the_page_speaks_to_people_who_hear_or_tabulate_it(outline):
    assert outline.all("html") == [{"lang": "en"}]
    assert all(attributes.get("alt") for attributes in outline.all("img"))
    assert all(attributes.get("aria-label") for attributes in outline.all("audio"))
    assert all(attributes.get("scope") in ("row", "col") for attributes in outline.all("th"))
    assert len(outline.all("caption")) == len(outline.all("table")) == 5
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in outline.all("svg"))


def test_figures_intervals_and_counts_of_the_report_are_on_the_page(html):
    for text in ("51.2", "48.1–54.1", "0.612", "252.5", "5,000", "1,234", "IVF64,Flat", "made_up/validation", "CCA"):
        assert text in html
    assert html.index("51.2") < html.index("For comparison") < html.index("CCA"), "results first"


def test_equal_input_gives_an_equal_page():
    assert draw("audio", report("audio")) == page("audio")


def test_what_the_report_lacks_is_left_out():
    whole = report("image")
    lean = {key: whole[key] for key in ("metrics", "chance", "counts", "definitions", "data")}
    text = draw("image", lean)
    assert "51.2" in text
    for title in ("For comparison", "Approximate search", "Hubs", "95 %: "):
        assert title in page("image")
        assert title not in text
