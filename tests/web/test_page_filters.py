"""Filters on the page and in the interface for programs: chips in the address, and exact counts."""

from collections import Counter
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from browsing import found, ids, settled, until
from index_samples import make
from photo_samples import taken_photos
from serving import UPLOAD_MB, running

from fusemix.search.filters import filter_of
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture(scope="module")
def photos(tiny, tmp_path_factory):
    """Year and camera of each photograph of an index, and a server of it."""
    folder: Path = tmp_path_factory.mktemp("photos")
    told = taken_photos(folder / "photos", tiny.files["image"][:24])
    make(tiny, folder / "index", folder / "photos")
    searcher = Searcher(folder / "index", device="cpu")
    searcher.load()
    with Batcher(searcher) as batcher, running(create_app(batcher, max_upload_mb=UPLOAD_MB, hosts=LOCAL)) as server:
        yield told, server


def test_what_there_is_to_choose_is_told_with_counts(photos):
    told, server = photos
    answer = server.ask("/api/filters").data
    assert answer["num_items"] == 24
    facets = {one["name"]: {value["value"]: value["num_items"] for value in one["values"]} for one in answer["filters"]}
    years = [str(year) for _, year, _ in told if year]
    assert facets["taken"] == {year: years.count(year) for year in sorted(set(years), reverse=True)}
    assert facets["folder"] == {str(year): 6 for year in range(2020, 2024)}
    assert sum(facets["camera"].values()) == len(years)
    passing = sum(year == 2021 and camera == "Canon EOS 5D" for _, year, camera in told)
    assert server.ask("/api/filters?f=taken=2021&f=camera=Canon+EOS+5D&of=image").data["num_items"] == passing
    assert server.ask("/api/filters?f=taken=soon").error == (
        "the filter taken has 'soon', which is no date. Write a year, a month or a day: 2023, 2023-05, 2023-05-14, or "
        "a range of them: 2023-05..2023-08."
    )


@pytest.mark.parametrize(
    "path", ["", "f=taken=2021", "f=camera=Canon+EOS+5D&f=folder=2020&f=folder=2021", "f=taken=2020..2021"]
)
def test_each_value_has_the_items_that_are_left_with_it_beside_what_is_chosen(photos, path):
    told, server = photos
    answer = server.ask(f"/api/filters?{path}").data
    chosen = filter_of([value for _, value in parse_qsl(path)])
    assert [one["name"] for one in answer["filters"]] == ["folder", "taken", "camera"]
    for one in answer["filters"]:
        counts = Counter(
            known[one["name"]]
            for known in (
                {"folder": name[:4], "taken": year and str(year), "camera": camera} for name, year, camera in told
            )
            if all(passes(known[name], values) for name, values in chosen.items() if name != one["name"])
        )
        del counts[None]
        assert {value["value"]: value["num_items"] for value in one["values"]} == dict(counts)


def passes(value, wanted):
    ends = [one.split("..") for one in wanted]
    return value is not None and any(end[0] <= value <= end[-1] for end in ends)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("", {"image", "audio", "text"}),
        ("of=image", {"image"}),
        ("by=text", {"image", "audio"}),
        ("by=text&of=any", {"image", "audio", "text"}),
        ("by=text&of=text", {"text"}),
    ],
)
def test_counts_are_those_of_the_items_that_a_search_looks_among(server, searcher, path, wanted):
    answer = server.ask(f"/api/filters?{path}").data
    items = [one for one in searcher.index.items(range(84)) if one["modality"] in wanted]
    assert answer["num_items"] == len(items)
    folders = Counter((one["path"] or "").rpartition("/")[0] for one in items)
    for facet in answer["filters"]:
        for value in facet["values"]:
            below = f"{value['value']}/"
            assert value["num_items"] == sum(count for at, count in folders.items() if f"{at}/".startswith(below))


def test_a_search_says_how_many_it_looked_among_and_its_link_holds_the_filter(photos):
    told, server = photos
    body = {"text": "bar", "k": 3, "filter": {"taken": {"from": "2021", "to": "2022"}, "camera": ["FUJIFILM X100"]}}
    answer = server.search(body).data
    passing = {f"photos/{name}" for name, year, camera in told if year in (2021, 2022) and camera == "FUJIFILM X100"}
    assert answer["num_items"] == len(passing)
    assert {one["id"] for one in answer["results"]} <= passing
    assert answer["query"]["link"] == "/?q=bar&f=taken%3D2021..2022&f=camera%3DFUJIFILM+X100"
    batch = server.search({"batch": [body, {"text": "bar"}, {"text": "bar", "filter": {"x": 1}}]}).data["answers"]
    assert batch[0]["results"] == answer["results"]
    assert batch[1]["num_items"] == 24
    assert batch[2] == {
        "error": "the index has no column 'x' to filter by. Known: folder, taken, camera.",
        "status": 422,
    }


@pytest.mark.parametrize("wrong", [[], "taken=2021", 5, {"taken": None}, {"folder": {"a": 1}}, {"taken": [["2021"]]}])
def test_what_is_no_filter_is_refused(photos, wrong):
    answer = photos[1].search({"text": "bar", "filter": wrong})
    assert answer.status == 422
    assert "filter" in answer.error


@pytest.mark.parametrize("width", [1280, 390])
def test_chips_filter_and_are_taken_away(photos, visit, width):
    told, server = photos
    tab = visit("/?q=bar", server.url, viewport={"width": width, "height": 800})
    settled(tab)
    until(tab, "document.querySelectorAll('#filters details').length === 3")
    assert tab.locator("#filters summary").all_inner_texts() == ["Folder", "Year", "Camera"]
    tab.locator("#filters summary", has_text="Camera").click()
    count = sum(camera == "Canon EOS 5D" for _, _, camera in told)
    shown = found(server, text="bar", filter={"camera": "Canon EOS 5D"})
    choice = tab.get_by_role("button", name="Canon EOS 5D")
    assert choice.locator(".count").inner_text() == str(count)
    choice.click()
    path = "/?q=bar&f=camera%3DCanon+EOS+5D"
    until(tab, "(path) => location.pathname + location.search === path", path)
    settled(tab)
    until(tab, "(count) => document.querySelectorAll('.hit .score').length === count", len(shown))
    assert ids(tab) == shown
    same = f" and {count - len(shown)} almost the same" if count > len(shown) else ""
    assert tab.locator("#status").inner_text().startswith(f"{len(shown)}{same} of {count} in")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"
    again = visit(path, server.url)
    settled(again)
    assert ids(again) == ids(tab)
    tab.get_by_role("button", name="Remove the filter Camera: Canon EOS 5D").click()
    until(tab, "location.search === '?q=bar'")
    settled(tab)
    every = len(found(server, text="bar"))
    until(tab, "(count) => document.querySelectorAll('.hit .score').length === count", every)
    tab.go_back()
    until(tab, "(count) => document.querySelectorAll('.hit .score').length === count", len(shown))


@pytest.mark.parametrize("width", [1280, 390])
def test_counts_on_the_page_follow_what_is_chosen_and_values_that_nothing_is_left_with_go(photos, visit, width):
    told, server = photos
    tab = visit("/?q=bar&f=folder=2021", server.url, viewport={"width": width, "height": 800})
    settled(tab)

    def shown(name):
        values = "(all) => all.map((one) => [one.firstChild.textContent, Number(one.lastChild.textContent)])"
        return dict(tab.locator(f"#filters [data-name={name}] li button").evaluate_all(values))

    def left(name, place):
        return dict(Counter(str(one[place]) for one in told if one[0].startswith("2021") and one[place]))

    until(tab, "document.querySelectorAll('#filters details').length === 3")
    assert shown("taken") == left("taken", 1)
    assert shown("camera") == left("camera", 2)
    assert len(shown("folder")) == 4, "a column's own value does not count for it"
    tab.locator("#filters summary", has_text="Camera").click()
    before = tab.locator("#filters [data-name=camera] button").count()
    assert before == len(left("camera", 2))
    tab.get_by_role("button", name="Remove the filter Folder: 2021").click()
    every = len({camera for _, _, camera in told} - {None})
    until(tab, "(count) => document.querySelectorAll('#filters [data-name=camera] button').length === count", every)
    assert shown("camera") == dict(Counter(camera for _, _, camera in told if camera))
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"


def test_before_a_search_the_page_says_how_many_items_pass(photos, visit):
    told, server = photos
    tab = visit("/?f=taken=2021&f=folder=2021", server.url)
    count = sum(year == 2021 for _, year, _ in told)
    until(tab, "(text) => document.querySelector('#status').textContent === text", f"{count} of 24 to search among")
    assert tab.locator("#filters .set span").all_inner_texts() == ["Year: 2021", "Folder: 2021"]
    tab.locator("#words").fill("bar")
    tab.keyboard.press("Enter")
    settled(tab)
    assert tab.evaluate("location.search") == "?q=bar&f=taken%3D2021&f=folder%3D2021"
    assert ids(tab) == found(server, text="bar", filter={"taken": "2021", "folder": "2021"})


def test_a_filter_of_another_index_is_said_in_a_sentence(photos, visit):
    visit.expected.append("Failed to load resource")
    tab = visit("/?q=bar&f=author=Ada", photos[1].url)
    until(tab, "!document.querySelector('#problem').hidden")
    assert tab.locator("#problem").inner_text().startswith("The index has no column 'author' to filter by.")
    tab.get_by_role("button", name="Remove the filter author: Ada").click()
    settled(tab)
    assert ids(tab) == found(photos[1], text="bar")


def test_values_are_shown_as_text(visit, server):
    name = "<img src onerror>"
    visit.expected.append("Failed to load resource")
    tab = visit(f"/?f={name}={name}")
    until(tab, "document.querySelectorAll('#filters .set').length === 1")
    assert tab.locator("#filters .set span").inner_text() == f"{name}: {name}"
    assert tab.locator("#filters img").count() == 0


def test_words_are_looked_for_among_pictures_and_sounds_unless_everything_is_chosen(visit, server):
    tab = visit("/?q=bar")
    settled(tab)
    assert tab.locator("#wanted label").all_inner_texts()[:2] == ["Automatic", "Everything"]
    assert not any("/text/" in one for one in ids(tab))
    tab.locator("#wanted label", has_text="Everything").click()
    until(tab, "location.search === '?q=bar&of=any'")
    settled(tab)
    until(tab, "document.querySelector('#status').textContent.includes(' of 84 in')")
    assert ids(tab) == found(server, text="bar", modality="any")
