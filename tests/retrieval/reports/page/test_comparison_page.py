"""The page of a comparison: what it shows is what was compared."""

import re

import numpy as np
import pytest
from report_samples import DIRECTIONS, drawn_ranks, query_rows, report_content

from fusemix.reports.comparison.side_by_side import MOST_CHANGES, compare_runs, largest_changes
from fusemix.reports.page.comparison import render_comparison
from fusemix.reports.reading import Queries, Report

NAMES = ["runs/first", "<b>second</b> 犬 $x$"]


def queries(ranks):
    rows = query_rows(ranks)
    return {
        direction: Queries(
            *(
                np.array(c)
                for c in zip(
                    *((r["query"], r["left_item"], r["rank"]) for r in rows if r["direction"] == direction), strict=True
                )
            )
        )
        for direction in DIRECTIONS
    }


@pytest.fixture(scope="module")
def ranks():
    return [drawn_ranks(1), drawn_ranks(2, hardness=12.0)]


@pytest.fixture(scope="module")
def page(ranks, tmp_path_factory):
    reports = [Report(tmp_path_factory.mktemp("report"), report_content(each)) for each in ranks]
    read = {id(report): queries(each) for report, each in zip(reports, ranks, strict=True)}
    comparisons = compare_runs(reports, NAMES, lambda report: read[id(report)])
    return render_comparison(reports, NAMES, comparisons), comparisons[0]


def test_figures_intervals_differences_and_p_values_are_on_the_page(page, ranks):
    html, made = page
    for each in ranks:
        for direction in DIRECTIONS:
            assert f">{100 * (each[direction] <= 5).mean():.1f}<" in html
    for found in made.differences.values():
        assert f"{abs(100 * found.difference):.1f}" in html
        assert f">{found.p:.4f}<" in html
        assert f"{found.num_differing:,} of {found.num_items:,}" in html
    assert html.count("<svg") == 3, "recall, differences, and the place of outlines"


def test_the_best_figure_of_each_column_is_marked(page, ranks):
    html, _ = page
    best = max(100 * (each["image_to_text"] <= 1).mean() for each in ranks)
    assert f'class="number best">{best:.1f}<' in html


def test_names_of_runs_stay_text_and_say_what_the_tab_is(page):
    html, _ = page
    assert "<b>second" not in html
    assert "<title>runs/first or &lt;b&gt;second&lt;/b&gt; 犬 $x$ · comparison</title>" in html


def test_the_queries_that_changed_most_are_those_with_the_largest_factors(ranks):
    first, other = (queries(each) for each in ranks)
    found = largest_changes(first, other)
    for direction in DIRECTIONS:
        factors = dict(zip(first[direction].ids, other[direction].ranks / first[direction].ranks, strict=True))
        mine = [change for change in found if change.direction == direction]
        assert [change.other / change.first for change in mine] == [factors[change.query] for change in mine]
        shares = sorted(factors.values())
        expected = [s for s in [*shares[:MOST_CHANGES], *shares[-MOST_CHANGES:]] if s != 1]
        assert [change.other / change.first for change in mine] == pytest.approx(expected)


def test_runs_that_are_alike_have_no_query_that_changed(ranks):
    assert largest_changes(queries(ranks[0]), queries(ranks[0])) == []


def test_a_run_that_cannot_be_compared_is_shown_and_says_why(ranks, tmp_path):
    reports = [Report(tmp_path, report_content(each)) for each in ranks]
    reports[1].data["protocol"]["name"] = "another"
    comparisons = compare_runs(reports, NAMES, lambda report: {})
    html = render_comparison(reports, NAMES, comparisons)
    assert "cannot be compared with runs/first" in html
    assert re.search(r"second.*†", html)
    assert "95 % interval</th>" not in html
