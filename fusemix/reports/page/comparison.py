"""The page of a comparison: runs side by side, their differences, and the queries that changed most.

Place in the flow: reports, names and Comparisons -> text of compare.html.
"""

from collections.abc import Iterator, Sequence
from itertools import compress

from matplotlib.figure import Figure

from fusemix.reports.comparison.paper_tables import best_of, measured
from fusemix.reports.comparison.picture import comparison_figure, differences_figure
from fusemix.reports.comparison.side_by_side import DEFINITIONS, MRR, Comparison
from fusemix.reports.comparison.tables import (
    about_p,
    difference_cells,
    difference_heads,
)
from fusemix.reports.page.shelf import Shelf
from fusemix.reports.page.shell import rendered
from fusemix.reports.page.svg import inline_svg, svg_settings
from fusemix.reports.page.tables import Cell, Grid, Row, direction_label
from fusemix.reports.reading import RECALL, Report, common_ks, told_first
from fusemix.tables import DAGGER, metric_label, number, percent

ON_PAGE = {"#000000": "currentColor", "#ffffff": "var(--sheet)", "#e6e6e6": "var(--line)", "#dddddd": "var(--line)"}
"""Colours of the plots that a page with a dark mode has its own for."""


def render_comparison(reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """The whole page as HTML.

    Args:
        reports, names: of the runs, the first first.
        comparisons: of every further run with the first.
    """
    comparable = [True, *(not made.reasons for made in comparisons)]
    with_differences = [made for made in comparisons if made.differences]
    return rendered(
        "comparison.html.j2",
        title=f"{' or '.join(names)} · comparison",
        scripts=("shared.js",),
        names=names,
        name=reports[0].data["data"]["name"],
        about=measured(reports[0]),
        seen=told_first(reports, names),
        excluded=[made for made in comparisons if made.reasons],
        figures=_figures(reports, names, comparable),
        differences=_differences(comparisons),
        about_p=about_p(comparisons),
        charts=dict(_charts(reports, names, comparisons, comparable)),
        changes=[made for made in with_differences if made.changes],
        direction_label=direction_label,
        definitions=DEFINITIONS,
        shelf=Shelf(),
    )


def _figures(reports: Sequence[Report], names: Sequence[str], comparable: Sequence[bool]) -> Grid:
    """All figures: the runs of one direction below one another, the best comparable one of each column marked."""
    metrics = [*(f"{RECALL}{k}" for k in common_ks(reports)), MRR]
    rows = []
    for direction in reports[0].directions:
        values = [[report.figure(direction, metric) for metric in metrics] for report in reports]
        best = [best_of(column) for column in zip(*compress(values, comparable), strict=True)]
        for report, name, figures, is_in in zip(reports, names, values, comparable, strict=True):
            cells = [
                Cell(percent(value), _interval(report, direction, metric), is_in and percent(value) == top)
                for metric, value, top in zip(metrics, figures, best, strict=True)
            ]
            median = number("median_rank", report.figure(direction, "median_rank"))
            label = name if is_in else f"{name} {DAGGER}"
            rows.append(Row("", label, direction_label(direction), "", [*cells, Cell(median)]))
    return Grid([*map(metric_label, metrics), "median rank"], rows)


def _interval(report: Report, direction: str, metric: str) -> str:
    bounds = report.interval(direction, metric)
    return "–".join(map(percent, bounds or ()))


def _differences(comparisons: Sequence[Comparison]) -> Grid:
    rows = []
    for made in comparisons:
        for key, found in made.differences.items():
            direction, _, metric = key.partition("/")
            texts = [metric_label(metric), *difference_cells(made, key, comparisons)]
            counted = f"{found.num_differing:,} of {found.num_items:,}"
            rows.append(Row("", made.run, direction_label(direction), "", [*map(Cell, texts), Cell(counted)]))
    return Grid(["figure", *difference_heads(comparisons), "left items that differ"], rows)


def _charts(
    reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison], comparable: Sequence[bool]
) -> Iterator[tuple[str, str]]:
    with svg_settings("recall"):
        yield "recall", _on_page(comparison_figure(reports, names, comparable), "recall", "Recall of each run.")
    if any(made.differences for made in comparisons):
        with svg_settings("differences"):
            figure = differences_figure(comparisons, names)
            yield "differences", _on_page(figure, "differences", f"Differences of each run from {names[0]}.")


def _on_page(figure: Figure, name: str, about: str) -> str:
    svg = inline_svg(figure, name, about)
    for colour, own in ON_PAGE.items():
        svg = svg.replace(colour, own)
    return svg
