import math
import re
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest

from fusemix.reports.page.charts import rank_chart, recall_chart, similarity_chart
from fusemix.reports.page.curves import Curve, depths, rank_bounds, recall_at
from fusemix.reports.page.data import PairScores
from fusemix.retrieval.metrics import chance_recall_at

RANKS = np.random.default_rng(0).integers(1, 700, 300)


def curve(name):
    ks = depths(1000)
    return Curve(name, ks, recall_at(RANKS, ks), chance_recall_at(np.ones(300, dtype=np.int64), 1000, ks))


@cache
def all_charts(name="text → image"):
    return draw_all(name)


def draw_all(name):
    generator = np.random.default_rng(1)
    scores = PairScores(generator.normal(0.5, 0.1, 200), generator.normal(0, 0.1, 500))
    return [recall_chart([curve(name), curve("b")]), rank_chart({name: RANKS, "b": RANKS}), similarity_chart(scores)]


def test_recall_at_all_depths_is_the_share_of_ranks_up_to_there():
    ks = np.arange(1, 701)
    np.testing.assert_allclose(recall_at(RANKS, ks), [np.mean([rank <= k for rank in RANKS]) for k in ks])


def test_chance_is_the_share_of_draws_without_replacement_that_hit():
    num_links, ks = np.array([1, 3, 3, 8]), np.arange(1, 11)
    wanted = [np.mean([1 - math.comb(10 - m, k) / math.comb(10, k) for m in num_links.tolist()]) for k in ks.tolist()]
    np.testing.assert_allclose(chance_recall_at(num_links, 10, ks), wanted)


@pytest.mark.parametrize("size", [1, 4, 7, 1000, 1_000_000])
def test_depths_go_from_one_to_the_whole_gallery(size):
    ks = depths(size).tolist()
    assert ks[0] == 1
    assert ks[-1] == size
    assert ks == sorted(set(ks))
    assert {k for k in (1, 5, 10) if k <= size} <= set(ks)


@pytest.mark.parametrize(("highest", "bounds"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 5]), (11, [1, 2, 5, 10, 20])])
def test_bins_of_ranks_grow_until_they_hold_the_highest(highest, bounds):
    assert rank_bounds(highest) == bounds


def test_charts_state_their_key_figures_in_words():
    recall, ranks, similarities = all_charts()
    assert f"text → image: recall {100 * recall_at(RANKS, np.array([1]))[0]:.1f} % at 1" in recall.about
    assert f"all by rank {RANKS.max():,}." in ranks.about
    assert re.search(r"200 linked pairs: median cosine 0\.[45]", similarities.about)
    for chart in (recall, ranks, similarities):
        root = ElementTree.fromstring(chart.svg)
        assert root.tag == "svg"
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == chart.about
        assert "width" not in root.attrib, "the page decides how wide a chart is"


def test_the_bars_of_one_direction_sum_to_all_queries():
    heights = []
    for element in ElementTree.fromstring(rank_chart({"a": RANKS}).svg).iter("path"):
        if "clip-path" in element.attrib and "fill: #2b7bba" in element.attrib.get("style", ""):
            points = np.array(re.findall(r"-?\d+\.?\d*", element.attrib["d"]), dtype=float).reshape(-1, 2)
            heights.append(np.ptp(points[:, 1]))
    shares = np.diff([0, *(np.mean([rank <= bound for rank in RANKS]) for bound in rank_bounds(int(RANKS.max())))])
    np.testing.assert_allclose(np.array(heights) / sum(heights), shares, atol=1e-4)


def test_equal_input_gives_equal_bytes_and_no_date():
    assert draw_all("text → image") == all_charts()
    assert not re.search(r"\b20\d\d-\d\d-\d\d", "".join(chart.svg for chart in all_charts()))


def test_ids_of_charts_on_one_page_do_not_clash_and_references_find_their_target():
    ids = [re.findall(r'\bid="([^"]+)"', chart.svg) for chart in all_charts()]
    together = [one for some in ids for one in some]
    assert len(set(together)) == len(together)
    for chart, own in zip(all_charts(), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', chart.svg)
        assert used
        assert {one or other for one, other in used} <= set(own)
        assert "<style" not in chart.svg, "a style in one chart would hold for the whole page"


def test_names_are_text_and_not_markup_or_formulas():
    for chart in all_charts(name="<b>$x_1$</b> & co")[:2]:
        texts = ["".join(element.itertext()) for element in ElementTree.fromstring(chart.svg).iter("text")]
        assert "<b>$x_1$</b> & co" in texts


def test_one_query_in_a_gallery_of_one_and_no_unlinked_pair_can_be_drawn():
    one = np.array([1])
    drawn = recall_chart([Curve("a", one, np.array([1.0]), np.array([1.0]))])
    assert "100.0 % at 1" in drawn.about
    assert "half of the queries find a linked item by rank 1," in rank_chart({"a": one}).about
    assert "1 linked pairs" in similarity_chart(PairScores(np.array([0.5]), np.array([]))).about
