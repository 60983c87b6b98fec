"""The page in headless Chromium, with no network: what a person does with it."""

import re
import time

import pytest
from page_samples import HOSTILE, page


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for modality in ("image", "audio"):
        (folder / f"{modality}.html").write_text(page(modality), encoding="utf-8")
    return folder


@pytest.fixture
def visit(browser, files):
    """Opens a page offline; afterwards nothing may have been asked for but the file, and nothing been complained of."""
    complaints, asked, contexts = [], [], []

    def open_page(modality, view="", **options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{(files / f'{modality}.html').as_uri()}{view}")
        return tab

    yield open_page
    for context in contexts:
        assert context.pages[0].evaluate("window.ran === undefined"), "a caption ran as code"
        context.close()
    assert complaints == []
    assert {url.split("#")[0].rsplit("/", 1)[0] for url in asked if not url.startswith("data:")} == {files.as_uri()}


def shown(tab):
    """Direction and kind of the queries that can be seen, which must be as many as the page says."""
    visible = "[...document.querySelectorAll('.card')].filter((card) => card.checkVisibility())"
    cards = tab.evaluate(f"{visible}.map((card) => [card.dataset.direction, card.dataset.kind])")
    assert tab.locator("#shown").inner_text() == f"{len(cards)} of 10 queries"
    return [tuple(card) for card in cards]


def until(tab, expression, argument=None):
    """Wait for something to become true; playwright's own way needs eval, which the page's policy forbids."""
    deadline = time.monotonic() + 10
    while not tab.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"never true: {expression}"
        tab.wait_for_timeout(20)


def choose(tab, name, value):
    tab.locator(f"input[name={name}][value='{value}']").check()


def test_all_queries_and_pictures_are_shown_at_first(visit):
    tab = visit("image")
    assert len(shown(tab)) == 10
    load = "async (picture) => { await picture.decode(); return picture.naturalWidth; }"
    assert tab.locator(".card img").evaluate_all(f"(all) => Promise.all(all.map({load}))") == [224] * 21


def test_a_query_that_found_nothing_right_ends_with_the_first_linked_item_and_its_rank(visit):
    tab = visit("image")
    card = tab.locator(".card[data-direction=text_to_image][data-kind=worst]").last
    assert card.locator("li.linked .place").all_inner_texts() == ["rank 813"]
    assert card.locator("li").last.locator(".cosine").inner_text() == "0.012"
    assert card.locator("li").last.locator("img").is_visible()
    assert tab.locator(".beyond").count() == 2, "the others show what is right where they found it"


def test_all_pictures_are_printed_though_nobody_has_scrolled_to_them(visit, tmp_path):
    tab = visit("image", viewport={"width": 800, "height": 300})
    assert tab.locator(".card").first.bounding_box()["y"] > 2000
    until(tab, "[...document.querySelectorAll('.card img')].every((one) => one.complete && one.naturalWidth === 224)")
    tab.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Subtype /Image") >= 5


def test_on_paper_cards_stay_whole_controls_are_gone_and_ink_is_dark(visit):
    tab = visit("audio", color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    breaks = "(all) => [...new Set(all.map((part) => getComputedStyle(part).breakInside))]"
    for part in (".card", ".chart", "tr"):
        assert tab.locator(part).evaluate_all(breaks) == ["avoid"], part
    for part in ("nav", "fieldset", ".find", ".filters button", "audio", ".hint", "#reading"):
        assert not any(tab.locator(part).evaluate_all("(all) => all.map((part) => part.checkVisibility())")), part
    assert all(tab.locator(".outline").evaluate_all("(all) => all.map((part) => part.checkVisibility())"))
    for part in ("body", ".card", ".scroll", ".headlines li"):
        style = tab.locator(part).first.evaluate(
            "part => [getComputedStyle(part).color, getComputedStyle(part).backgroundColor]"
        )
        assert lightness(style[0]) == 0 < lightness(style[1]), part
    tab.set_viewport_size({"width": 703, "height": 1000})  # A4 less margins
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_folded_is_open_while_the_page_is_printed(visit):
    tab = visit("image")
    opened = "[...document.querySelectorAll('details')].map((part) => part.open)"
    tab.locator("details").first.evaluate("part => part.parentElement.append(part.cloneNode(true))")
    tab.locator("details").last.evaluate("part => { part.open = true; }")
    before = tab.evaluate(opened)
    assert sorted(before) == [False, True]
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate(opened) == [True, True]
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(opened) == before, "what a person opened stays open"


def test_a_table_that_is_wider_than_the_screen_says_so_and_keeps_its_first_column(visit):
    tab = visit("image", viewport={"width": 390, "height": 800})
    box = tab.locator(".scroll").first
    hint = tab.locator(".hint").first
    until(tab, "hint => !hint.hidden", hint.element_handle())
    assert "scroll sideways" in hint.inner_text()
    first = box.locator("tbody th").first
    before = first.bounding_box()["x"]
    box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    assert first.bounding_box()["x"] == pytest.approx(before, abs=2)
    assert box.locator("tbody td").nth(0).bounding_box()["x"] < before, "it has scrolled"
    tab.set_viewport_size({"width": 1280, "height": 800})
    until(tab, "hint => hint.hidden", hint.element_handle())


def test_direction_and_kind_leave_only_the_queries_that_fit(visit):
    tab = visit("image")
    choose(tab, "direction", "text_to_image")
    assert {direction for direction, _ in shown(tab)} == {"text_to_image"}
    choose(tab, "kind", "worst")
    assert shown(tab) == [("text_to_image", "worst")] * 2
    choose(tab, "direction", "")
    assert len(shown(tab)) == 4
    tab.get_by_role("button", name="Show all").click()
    until(tab, "document.querySelectorAll('.card[hidden]').length === 0")
    assert len(shown(tab)) == 10


def test_words_find_queries_by_text_caption_and_id_of_all_their_items(visit):
    tab = visit("image")
    expected = {"dog": 4, "BARKS dog": 4, "KÄFIG": 4, "scene2": 5, "picture-0.jpg": 4, "no such word": 0, " ": 10}
    for typed, count in expected.items():
        tab.get_by_label("Words in queries").fill(typed)
        assert len(shown(tab)) == count, typed
        assert tab.locator("#none").is_visible() == (count == 0)


def test_a_view_is_in_the_address_and_comes_back_from_it(visit):
    tab = visit("image")
    choose(tab, "direction", "image_to_text")
    choose(tab, "kind", "best")
    tab.get_by_label("Words in queries").fill("Käfig & <")
    tab.get_by_label("Words in queries").fill("dog")
    before, view = shown(tab), tab.evaluate("location.hash")
    assert view == "#direction=image_to_text&kind=best&words=dog"
    again = visit("image", view)
    assert shown(again) == before != []
    assert again.locator("input[name=kind][value=best]").is_checked()
    assert again.get_by_label("Words in queries").input_value() == "dog"
    until(again, "document.getElementById('gallery').getBoundingClientRect().top < innerHeight / 2")
    again.evaluate("location.hash = '#kind=worst'")
    until(again, "document.getElementById('shown').textContent.startsWith('4')")
    again.evaluate("location.hash = '#charts'")
    assert len(shown(again)) == 4, "a link to a section leaves the view as it is"
    again.evaluate("location.hash = '#direction=elsewhere&kind=<b>&other=1'")
    until(again, "document.getElementById('shown').textContent.startsWith('10')")


def test_filters_work_by_keyboard_alone(visit):
    tab = visit("image")
    tab.locator("input[name=kind][value='']").focus()
    tab.keyboard.press("ArrowRight")
    assert {kind for _, kind in shown(tab)} == {"best"}
    tab.keyboard.press("Tab")
    tab.keyboard.type("dog")
    assert tab.evaluate("location.hash") == "#kind=best&words=dog"
    assert 0 < len(shown(tab)) < 4


def test_a_sound_plays_on_a_click_until_another_starts_or_its_query_is_filtered_out(visit):
    tab = visit("audio", viewport={"width": 1280, "height": 900})
    sounds = tab.locator(".card audio")
    for sound in (sounds.nth(0), sounds.nth(1)):
        sound.scroll_into_view_if_needed()
        box = sound.bounding_box()
        tab.mouse.click(box["x"] + 24, box["y"] + box["height"] / 2)
        until(tab, "sound => sound.currentTime > 0.1 && !sound.paused", sound.element_handle())
    assert sounds.nth(0).evaluate("sound => sound.paused")
    assert sounds.nth(0).evaluate("sound => sound.duration") == pytest.approx(1.5, abs=0.1)
    sounds.nth(1).evaluate("sound => { sound.loop = true; return sound.play(); }")
    choose(tab, "kind", "worst")
    assert sounds.nth(1).evaluate("sound => sound.paused"), "a sound that is filtered out stops"


def test_pointing_at_the_map_shows_what_is_there(visit):
    tab = visit("image")
    tab.locator("#map circle").first.hover(force=True)
    until(tab, "document.getElementById('reading').textContent.startsWith('image: ')")
    image, text = tab.locator("#reading").inner_text().split("\n")
    assert (image, text) == (f"image: {HOSTILE} 0", f"text: {HOSTILE} 0"), "both items of the pair"


@pytest.mark.parametrize(("modality", "scheme"), [("image", "light"), ("audio", "dark")])
def test_a_phone_shows_the_page_without_sideways_scrolling(visit, modality, scheme):
    tab = visit(modality, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.locator(".scroll").first.evaluate("box => box.scrollWidth > box.clientWidth"), (
        "wide tables scroll in a box"
    )
    ink, paper = tab.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (lightness(ink) > lightness(paper)) == (scheme == "dark")
    label = tab.locator(".chart svg text").first.evaluate("text => getComputedStyle(text).fill")
    assert label == ink, "charts take the colour of the page's text"


def lightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_hostile_captions_are_read_as_they_were_written(visit):
    tab = visit("audio")
    assert HOSTILE in tab.locator(".card .text").all_inner_texts()
    assert tab.title() == f"a on made_up/test {HOSTILE} · retrieval", "the run comes first: tabs are narrow"
