"""The page in headless Chromium: on a phone, with mistakes, with hostile words, and where pictures have gone."""

import base64
import re
import shutil
from pathlib import Path

import pytest
from browsing import drop, found, ids, searched, settled, type_and_search, until
from PIL import Image
from serving import UPLOAD_MB, running

from fusemix.cli.called import run_command
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.wiring.searching.searcher import Searcher

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
MISSING = "Failed to load resource: the server responded with a status of"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_sideways_scrolling(visit, scheme):
    tab = visit("/?q=bar&like=audio_captions%2Fall%2Faudio%2F03.wav", color_scheme=scheme, **PHONE)
    settled(tab)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ink, paper = tab.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (lightness(ink) > lightness(paper)) == (scheme == "dark")
    small = """[...document.querySelectorAll("button, .bar input, .brand a, summary")]
        .filter((it) => it.checkVisibility()).map((it) => [it.outerHTML.slice(0, 80), it.getBoundingClientRect()])
        .filter(([, box]) => Math.min(box.width, box.height) < 39.5).map(([html]) => html)"""
    assert tab.evaluate(small) == [], "a finger finds every button"
    tab.locator(".hit .look").first.tap()
    assert tab.locator("#larger").is_visible()
    assert tab.evaluate("document.querySelector('#larger').scrollWidth <= innerWidth")
    assert tab.evaluate(small) == []
    tab.locator("#larger .like").tap()
    until(tab, "location.search.startsWith('?like=')")
    settled(tab)


def lightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_results_come_without_pushing_anything_aside(visit):
    tab = visit("/?q=bar")
    settled(tab)
    boxes = (
        "[...document.querySelectorAll('.hit')].map((card) => Math.round(card.getBoundingClientRect().top + scrollY))"
    )
    before = tab.evaluate(boxes)
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    tab.wait_for_load_state("networkidle")
    assert tab.evaluate(boxes) == before


def test_what_is_wrong_is_said(visit, tmp_path):
    visit.expected += [f"{MISSING} 404", f"{MISSING} 422"]
    tab = visit("/?q=bar")
    settled(tab)
    problem = tab.locator("#problem")
    assert not problem.is_visible()
    large, strange, broken = tmp_path / "large.png", tmp_path / "notes.txt", tmp_path / "broken.png"
    large.write_bytes(bytes(UPLOAD_MB * 1_000_000 + 1))
    strange.write_text("words")
    broken.write_bytes(b"no picture")
    drop(tab, large, "image/png", mode="new")
    assert problem.inner_text() == "large.png has 1.0 MB; 1 MB are the most."
    drop(tab, strange, "text/plain", mode="new")
    assert problem.inner_text() == "notes.txt is not a picture or a sound."
    assert visit.complaints == []
    drop(tab, broken, "image/png", mode="new")
    until(tab, "document.querySelector('#problem').textContent.startsWith('The picture cannot be read; JPEG')")
    assert tab.evaluate("location.search") == "?q=bar"
    tab.goto(f"{tab.url.partition('?')[0]}?like=nobody")
    until(tab, "document.querySelector('#problem').textContent === \"No item of the index has the id 'nobody'.\"")
    assert ids(tab) == []
    tab.get_by_role("button", name="Remove like nobody").click()
    until(tab, "location.search === ''")
    type_and_search(tab, "bar")
    searched(tab, "/?q=bar")
    assert not problem.is_visible()


HOSTILE = """</script><script>window.ran = 1</script><img src="x" onerror="window.ran = 2">'"&amp; {{ 7 * 7 }}"""


def test_hostile_words_are_read_as_they_were_written(visit):
    tab = visit()
    type_and_search(tab, HOSTILE)
    settled(tab)
    tab.evaluate("(words) => { document.querySelector('#words').value = words; }", HOSTILE)
    assert tab.title().startswith(HOSTILE)
    tab.locator(".hit .also").first.click(force=True)
    until(tab, "document.querySelectorAll('#chips li').length === 1")
    assert tab.evaluate("window.ran === undefined")


@pytest.fixture(scope="module")
def moved(tiny, tmp_path_factory):
    """A server of an index without thumbnails whose pictures have gone, with names that try to run as code."""
    folder = tmp_path_factory.mktemp("moved")
    pictures = folder / "a <b>&amp; \"c'"
    pictures.mkdir()
    for number, file in enumerate(tiny.files["image"][:6]):
        shutil.copy(file, pictures / f"<img src=x onerror=window.ran={number}>.png")
    out = folder / "<script>window.ran=9<" / "index"
    common = ["--model", str(tiny.run), "--out", str(out), "--compute.accelerator", "cpu", "--num-workers", "0"]
    run_command("index", [*common, "--data", str(pictures), "thumbnails=false"])
    shutil.rmtree(pictures)
    with (
        Batcher(Searcher(out, device="cpu")) as batcher,
        running(create_app(batcher, max_upload_mb=1, hosts=LOCAL)) as server,
    ):
        yield server


def test_where_pictures_have_gone_their_ids_are_left(visit, moved):
    visit.expected += [f"{MISSING} 404"]
    tab = visit("/?q=bar", url=moved.url)
    until(tab, "document.querySelectorAll('.gone').length === 6")
    assert "cannot be shown here any more" in tab.locator(".gone").first.inner_text()
    assert "<img src=x onerror=window.ran=" in tab.locator(".gone").first.inner_text()
    tab.locator(".seed").first.press("o")
    until(tab, "document.querySelector('#larger .gone') !== null")
    tab.keyboard.press("Enter")
    until(tab, "location.search.startsWith('?like=')")
    until(tab, "document.querySelectorAll('.gone').length === 6")
    assert tab.evaluate("window.ran === undefined")


def test_the_page_of_a_moved_index_has_no_examples_where_no_captions_are(visit, moved):
    visit.expected += [f"{MISSING} 404"]
    tab = visit("/", url=moved.url)
    until(tab, "document.querySelectorAll('.gone').length === 6")
    assert tab.locator(".examples").count() == 0


def test_a_telephones_picture_is_taken_by_its_name_where_the_system_has_no_type_for_it(visit, server, tmp_path):
    package = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    package.from_pillow(Image.new("RGB", (64, 64), "red")).save(tmp_path / "IMG_1.HEIC")
    content = base64.b64encode((tmp_path / "IMG_1.HEIC").read_bytes()).decode()
    tab = visit()
    tab.evaluate(
        """(text) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], "IMG_1.HEIC"));
            document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
        }""",
        content,
    )
    until(tab, "location.search.startsWith('?e=image.')")
    settled(tab)
    assert ids(tab)


def test_screenshots_are_there_to_look_at(visit, tmp_path):
    for name, options in (("wide", {}), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            tab = visit("/?q=a+red+square", color_scheme=scheme, **options)
            settled(tab)
            tab.wait_for_load_state("networkidle")
            path = Path(tmp_path, f"{name}-{scheme}.png")
            tab.screenshot(path=path)
            assert path.stat().st_size > 10_000


def test_when_the_server_has_gone_results_stay_and_the_same_is_asked_again_on_a_click(visit, searcher):
    visit.expected += ["Failed to load resource: net::ERR_CONNECTION_REFUSED"]
    with Batcher(searcher) as batcher:
        with running(create_app(batcher, max_upload_mb=1, hosts=LOCAL)) as first:
            tab = visit("/?q=bar", url=first.url)
            settled(tab)
            tab.wait_for_load_state("networkidle")
            before = ids(tab)
        type_and_search(tab, "a red square")
        until(tab, "!document.querySelector('#problem').hidden")
        problem = tab.locator("#problem")
        assert problem.inner_text().startswith(
            "The server does not answer. Is it still running? Below are the results of"
        )
        assert ids(tab) == before
        assert tab.locator("#words").input_value() == "a red square"
        again = problem.get_by_role("button", name="Try again")
        again.click()
        until(tab, "document.querySelector('#results').ariaBusy === null")
        assert (ids(tab), again.is_visible()) == (before, True)
        with running(create_app(batcher, max_upload_mb=1, hosts=LOCAL), first.port) as second:
            again.click()
            assert searched(tab, "/?q=a+red+square") == found(second, text="a red square")
            assert not problem.is_visible()
