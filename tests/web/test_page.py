"""The page in headless Chromium against a real server: what a person does with it."""

import base64
import re

import pytest
from browsing import FIRST, drop, found, ids, searched, settled, type_and_search, until


def test_words_find_what_the_interface_for_programs_finds_and_the_address_says_them(visit, server, tiny):
    tab = visit()
    assert tab.evaluate("document.activeElement.id") == "words", "one can type at once"
    type_and_search(tab, "a red square")
    assert searched(tab, "/?q=a+red+square") == found(server, text="a red square")
    assert re.match(
        rf"{len(ids(tab))} and \d+ almost the same of 60 in [\d.]+ ms.*query [\d.]+ ms, search [\d.]+ ms",
        tab.locator("#status").inner_text(),
    )
    assert tab.title() == f"a red square · index · {tiny.run.name} · fusemix", "which index, and by which run"
    load = "async (picture) => { picture.loading = 'eager'; await picture.decode(); return picture.naturalWidth > 0; }"
    assert all(tab.locator(".hit img").evaluate_all(f"(all) => Promise.all(all.map({load}))"))


def test_a_click_on_a_result_finds_more_like_it_and_back_goes_back(visit, server):
    tab = visit("/?q=one+blue+circle")
    settled(tab)
    before = ids(tab)
    picture = next(place for place, found_id in enumerate(before) if "/image/" in found_id)
    tab.locator(".seed").nth(picture).click()
    like = before[picture]
    path = tab.evaluate("(id) => '/?' + new URLSearchParams({like: id})", like)
    after = searched(tab, path)
    assert after == found(server, like=like)
    assert next(found_id for found_id in after if "/image/" in found_id) == like
    assert tab.locator("#chips li").inner_text().startswith("like ")
    assert tab.locator("#chips img").evaluate("(picture) => picture.decode().then(() => picture.naturalWidth > 0)")
    assert tab.locator("#words").input_value() == ""
    tab.go_back()
    assert searched(tab, "/?q=one+blue+circle") == before
    assert tab.locator("#words").input_value() == "one blue circle"
    tab.go_forward()
    assert searched(tab, path) == after


def test_an_address_opened_afresh_finds_the_same(visit, server, tiny):
    answer = server.search(
        {
            "queries": [{"text": "a & b"}, {"image": base64.b64encode(tiny.files["image"][9].read_bytes()).decode()}],
            "k": 40,
            "group_duplicates": True,
        }
    ).data
    tab = visit(answer["query"]["link"])
    settled(tab)
    assert ids(tab) == [result["id"] for result in answer["results"]]
    assert tab.locator("#words").input_value() == "a & b"
    assert tab.locator("#chips li span").all_inner_texts() == ["a picture"]


@pytest.mark.parametrize(("modality", "kind"), [("image", "image/png"), ("audio", "audio/wav")])
def test_a_dropped_file_finds_what_the_interface_for_programs_finds(visit, server, tiny, modality, kind):
    file = tiny.files[modality][4]
    answer = server.search(
        {modality: base64.b64encode(file.read_bytes()).decode(), "k": FIRST, "group_duplicates": True}
    ).data
    tab = visit()
    drop(tab, file, kind)
    path = tab.evaluate("(link) => '/?' + new URLSearchParams(link.slice(2))", answer["query"]["link"])
    assert searched(tab, path) == [result["id"] for result in answer["results"]]
    assert tab.locator("#chips li span").all_inner_texts() == [file.name]
    assert tab.locator("#chips img").count() == (modality == "image")
    tab.reload()
    assert searched(tab, path) == [result["id"] for result in answer["results"]]
    assert tab.locator("#chips li span").all_inner_texts() == [{"image": "a picture", "audio": "a sound"}[modality]]


def test_queries_add_up_and_are_taken_away_one_by_one(visit, server, tiny):
    tab = visit("/?q=one+blue+circle")
    settled(tab)
    drop(tab, tiny.files["image"][4], "image/png", mode="add")
    until(tab, "document.querySelectorAll('#chips li').length === 1")
    both = searched(tab, tab.evaluate("location.pathname + location.search"))
    embedding = tab.evaluate("new URLSearchParams(location.search).get('e')").removeprefix("image.")
    picture = {"embedding": embedding, "embedding_of": "image"}
    assert both == found(server, queries=[{"text": "one blue circle"}, picture])
    tab.locator(".hit .also").nth(3).click(force=True)
    until(tab, "document.querySelectorAll('#chips li').length === 2")
    settled(tab)
    three = tab.evaluate("[...new URLSearchParams(location.search)].map(([name]) => name).sort()")
    assert three == ["e", "like", "q"]
    tab.get_by_role("button", name="Remove 04.png").click()
    until(tab, "!new URLSearchParams(location.search).has('e')")
    settled(tab)
    tab.locator("#words").fill("")
    tab.keyboard.press("Enter")
    assert searched(tab, tab.evaluate("(id) => '/?' + new URLSearchParams({like: id})", both[3])) == found(
        server, like=both[3]
    )


def test_files_are_chosen_by_a_button_and_pasted(visit, server, tiny):
    tab = visit()
    assert tab.locator("#choose circle").count() == 0, "a clip, for pictures and sounds; no camera, no note"
    with tab.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Search by a picture or a sound").click()
    chooser.value.set_files(tiny.files["image"][4])
    until(tab, "location.search.startsWith('?e=image.')")
    settled(tab)
    chosen = ids(tab)
    pasted = visit()
    pasted.evaluate(
        """(text) => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
            document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
        }""",
        base64.b64encode(tiny.files["image"][4].read_bytes()).decode(),
    )
    until(pasted, "location.search.startsWith('?e=image.')")
    settled(pasted)
    assert ids(pasted) == chosen


def test_everything_works_by_keyboard_alone(visit, server):
    tab = visit()
    tab.keyboard.type("bar")
    tab.keyboard.press("Enter")
    first = searched(tab, "/?q=bar")
    last = len(first) - 1
    tab.keyboard.press("ArrowDown")
    focused = "Number(document.activeElement.closest('.hit')?.dataset.place ?? -1)"
    assert tab.evaluate(focused) == 0
    columns = tab.evaluate("getComputedStyle(document.querySelector('#results')).gridTemplateColumns.split(' ').length")
    for key, place in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowUp", 1), ("End", last), ("Home", 0)):
        tab.keyboard.press(key)
        assert tab.evaluate(focused) == place, key
    outline = tab.evaluate("getComputedStyle(document.activeElement.querySelector('.box')).outlineStyle")
    assert outline == "solid", "one sees where one is"
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate("document.activeElement.id") == "words"
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("o")
    assert tab.locator("#larger").is_visible()
    facts = tab.locator("#larger .facts").inner_text()
    assert first[1] in facts
    assert f"2 of {len(first)}" in facts
    tab.keyboard.press("ArrowRight")
    assert first[2] in tab.locator("#larger .facts").inner_text()
    tab.keyboard.press("Escape")
    assert not tab.locator("#larger").is_visible()
    until(tab, f"{focused} === 2")  # where one looked last; a dialog reports its end a moment later
    tab.keyboard.press("Enter")
    like = tab.evaluate("(id) => '/?' + new URLSearchParams({like: id})", first[2])
    assert searched(tab, like) == found(server, like=first[2])
    assert tab.evaluate(focused) == 0
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("+")
    until(tab, "document.querySelectorAll('#chips li').length === 2")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "words"
    tab.keyboard.type("/")
    assert tab.locator("#words").input_value() == "/", "in the field it is a letter"


def test_one_sound_plays_at_a_time(visit, tiny):
    tab = visit("/?like=audio_captions%2Fall%2Faudio%2F23.wav")
    settled(tab)
    plays = tab.locator(".hit.of-audio .play")
    plays.nth(0).click()
    moving = "parseFloat(document.querySelector('.playing')?.style.getPropertyValue('--played')) > 5"
    until(tab, moving)
    assert tab.locator(".playing").get_attribute("data-place") == "0"
    plays.nth(1).click()
    until(tab, moving)
    assert tab.locator(".playing").count() == 1
    assert plays.nth(0).get_attribute("aria-label") == "Play"
    assert plays.nth(1).get_attribute("aria-label") == "Stop"
    plays.nth(1).click()
    assert tab.locator(".playing").count() == 0
    tab.locator(".hit.of-audio .seed").first.focus()
    tab.keyboard.press("Space")
    until(tab, moving)
    until(tab, "!document.querySelector('.playing')")
    mask = tab.locator(".outline").first.evaluate("(box) => getComputedStyle(box).maskImage")
    assert "size=outline" in mask


def test_more_results_are_added_below(visit, server):
    tab = visit("/?q=bar&of=any")
    settled(tab)
    tab.locator("#results .hit").first.evaluate("(card) => { card.dataset.before = 'yes'; }")
    tab.get_by_role("button", name="Show more").click()
    every = found(server, text="bar", k=84, modality="any")
    assert 40 < len(every) < 84
    assert searched(tab, "/?q=bar&of=any&k=120", count=len(every)) == every
    assert tab.locator("#results .hit").first.get_attribute("data-before") == "yes", "what was there stays"
    assert tab.evaluate("document.activeElement.closest('.hit').dataset.place") == "40"
    assert not tab.locator("#more").is_visible()


def test_who_has_not_asked_yet_sees_items_and_examples(visit, server):
    tab = visit()
    until(tab, "document.querySelectorAll('.hit').length === 24")
    example = tab.locator(".examples a").first
    words = example.inner_text()
    example.click()
    path = tab.evaluate("(words) => '/?' + new URLSearchParams({q: words})", words)
    assert searched(tab, path) == found(server, text=words)
    assert not tab.locator("#start").is_visible()
    tab.locator("#home").click()
    until(tab, "location.search === '' && document.querySelectorAll('.hit').length === 24")


def test_the_line_for_programs_works(visit, server):
    tab = visit()
    tab.locator("#programs summary").click()
    line = tab.locator("#curl").inner_text()
    address, header, body = re.fullmatch(r"curl (\S+) -H '(.*)' -d '(.*)'", line).groups()
    assert address == f"{server.url}/api/search"
    name, value = header.split(": ")
    assert server.ask("/api/search", body.encode(), headers={name: value}).status == 200


def test_a_second_dropped_picture_leaves_the_first_what_it_is(visit, tiny):
    tab = visit()
    drop(tab, tiny.files["image"][4], "image/png")
    until(tab, "document.querySelectorAll('#chips li').length === 1")
    settled(tab)
    first = tab.evaluate("new URLSearchParams(location.search).get('e')")
    drop(tab, tiny.files["image"][9], "image/png", mode="add")
    until(tab, "document.querySelectorAll('#chips li').length === 2")
    settled(tab)
    kept = tab.evaluate("new URLSearchParams(location.search).getAll('e')")
    assert kept[0] == first
    assert [part.split(".")[0] for part in kept] == ["image", "image"]
    assert tab.locator("#chips li span").all_inner_texts() == ["04.png", "09.png"]
    assert tab.locator("#chips img").count() == 2
    drop(tab, tiny.files["audio"][4], "audio/wav", mode="add")
    until(tab, "document.querySelectorAll('#chips li').length === 3")
    tab.reload()
    settled(tab)
    assert tab.locator("#chips li span").all_inner_texts() == ["a picture", "a picture", "a sound"]


def test_all_pictures_are_printed_though_nobody_has_scrolled_to_them(visit, server, tmp_path):
    pictures = sum("/image/" in one for one in found(server, text="one blue circle", k=84))
    assert pictures >= 20
    tab = visit("/?q=one+blue+circle&k=84", viewport={"width": 800, "height": 300}, color_scheme="dark")
    settled(tab)
    loaded = "[...document.querySelectorAll('.box img')].filter((one) => one.complete && one.naturalWidth).length"
    until(tab, f"{loaded} === {pictures}")
    tab.emulate_media(media="print", color_scheme="dark")
    hidden = ("#choose", ".go", "#more", ".hit > button", "footer", ".skip")
    for part in hidden:
        assert not any(tab.locator(part).evaluate_all("(all) => all.map((one) => one.checkVisibility())")), part
    assert tab.locator("#words").is_visible(), "it says what was asked"
    assert tab.locator(".hit").first.evaluate("hit => getComputedStyle(hit).breakInside") == "avoid"
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    tab.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Subtype /Image") >= pictures - 6


@pytest.mark.parametrize("clipboard", ["as the browser has it", "none, as over http"])
def test_a_path_is_copied_by_a_key_and_by_a_button_and_that_is_said(visit, server, clipboard):
    tab = visit()
    if clipboard.startswith("none"):
        tab.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    type_and_search(tab, "bar")
    first = searched(tab, "/?q=bar")
    results = server.search({"text": "bar", "k": FIRST, "group_duplicates": True}).data["results"]
    paths = [result["path"] or result["id"] for result in results]
    assert [result["id"] for result in results] == first
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("c")
    until(tab, "(path) => document.querySelector('body > .told')?.textContent === `Copied: ${path}`", paths[0])
    assert tab.evaluate("Number(document.activeElement.closest('.hit').dataset.place)") == 0
    tab.keyboard.press("o")
    tab.keyboard.press("ArrowRight")
    tab.locator("#larger .copy").click()
    until(tab, "(path) => document.querySelector('#larger > .told')?.textContent === `Copied: ${path}`", paths[1])
    tab.keyboard.press("Escape")
    tab.locator("#words").fill("")
    tab.locator("#words").focus()
    tab.keyboard.press("ControlOrMeta+v")
    until(tab, "(path) => document.querySelector('#words').value === path", paths[1])
