"""The line below which nothing fits, on the page."""

import pytest
from browsing import settled
from cut_samples import ABOVE, WORDS, judged, with_cuts
from serving import UPLOAD_MB, running

from fusemix.models.hubs import Cut
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.wiring.searching.searcher import Searcher

LINE = "Below, more likely wrong than right"


@pytest.fixture(scope="module")
def world(tiny, tmp_path_factory):
    return with_cuts(tiny, tmp_path_factory.mktemp("cut"))


@pytest.fixture
def serve(world):
    """Serves the index with a run."""
    opened = []

    def start(run):
        searcher = Searcher(world / "index", run, device="cpu")
        batcher = Batcher(searcher).__enter__()
        server = running(create_app(batcher, max_upload_mb=UPLOAD_MB, hosts=LOCAL))
        opened.extend([batcher, server])
        return server.__enter__()

    yield start
    for one in reversed(opened):
        one.__exit__(None, None, None)


def lines(tab):
    """Number of cards before each line, with its words."""
    return tab.locator("#results > .cut").evaluate_all(
        "(all) => all.map((one) => [[...one.parentNode.querySelectorAll('.hit')].filter((card) => "
        "one.compareDocumentPosition(card) & Node.DOCUMENT_POSITION_PRECEDING).length, one.textContent])"
    )


def test_a_line_is_drawn_and_stays_where_it_is_when_a_group_opens_and_more_is_shown(serve, visit, world):
    server = serve(world / "run")
    tab = visit(f"/?q={WORDS}&k=8", url=server.url)
    settled(tab)
    found = server.search({"text": WORDS, "k": 8, "group_duplicates": True}).data
    fits = [one["score"] >= found["cuts"]["image"] for one in found["results"]]
    assert fits == sorted(fits, reverse=True) and 0 < sum(fits) < len(fits)
    assert lines(tab) == [[sum(fits), LINE]]
    badge = tab.locator(".hit .same").first
    badge.click()
    opened = len(found["results"][int(badge.locator("..").get_attribute("data-place"))]["duplicates"])
    is_above = int(badge.locator("..").get_attribute("data-place")) < sum(fits)
    assert lines(tab) == [[sum(fits) + opened * is_above, LINE]]
    tab.get_by_role("button", name="Show more").click()
    settled(tab)
    assert lines(tab) == [[sum(fits), LINE]]


def test_the_endpoint_tells_it_for_what_validation_asked(serve, world):
    server = serve(world / "run")
    found = server.search({"text": WORDS, "k": 8}).data
    assert sum(one["score"] >= found["cuts"]["image"] for one in found["results"]) == ABOVE
    assert server.search({"queries": [{"text": WORDS}, {"text": "a circle", "weight": -1}]}).data["cuts"] == {}


def test_where_nothing_fits_the_page_says_so_and_shows_the_results(serve, visit, world, tiny):
    judged(tiny.run, world / "strict", {"text_to_image": Cut(1.5, 1.5)})
    tab = visit(f"/?q={WORDS}", url=serve(world / "strict").url)
    settled(tab)
    assert lines(tab) == [[0, "All of these are more likely wrong than right"]]
    assert tab.locator("#status").inner_text().startswith("Nothing fits. ")
    assert tab.locator("#results > .hit").count() > ABOVE


def test_no_line_is_drawn_where_no_cut_is_known(serve, visit, world):
    tab = visit(f"/?q={WORDS}", url=serve(world / "plain").url)
    settled(tab)
    assert lines(tab) == []
