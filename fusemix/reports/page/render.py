"""The page: everything a person wants to see of a report, in one HTML file that asks for nothing else.

Place in the flow: report.json, directions, samples of cosines and embeddings -> text of report.html.
Not here: how things are drawn (charts.py, map.py), made small (fusemix/media.py) or laid out (page.html.j2, shell.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fusemix.reports.page import tables
from fusemix.reports.page.charts import Chart, rank_chart, recall_chart, similarity_chart
from fusemix.reports.page.curves import Curve, depths, recall_at
from fusemix.reports.page.data import DirectionPage, PairScores, Points
from fusemix.reports.page.map import drawn_map
from fusemix.reports.page.shelf import Shelf
from fusemix.reports.page.shell import rendered, run_name
from fusemix.reports.reading import corrected_text, seen_notes
from fusemix.retrieval.metrics import chance_recall_at
from fusemix.tables import metric_label, number


def render_page(
    report: Mapping[str, Any], directions: Sequence[DirectionPage], scores: PairScores, points: Points
) -> str:
    """The whole page as HTML.

    Args:
        report: version 2 of report.json.
        directions: both, in the order in which they are shown.
        scores: cosines of samples of pairs.
        points: embeddings of some linked pairs; a few hundred can still be told apart.
    """
    shelf = Shelf()
    names = [direction.name for direction in directions]
    run = run_name(report.get("model", {}))
    return rendered(
        "page.html.j2",
        title=f"{f'{run} on ' if run else ''}{report['data']['name']}{corrected_text(report)} · retrieval",
        corrected=corrected_text(report),
        scripts=("shared.js", "page.js"),
        run=run,
        report=report,
        names=names,
        seen=seen_notes(report),
        headlines=_headlines(report, names),
        tables=_tables(report, names),
        facts={part: tables.facts(report.get(part, {})) for part in ("data", "model", "environment")},
        charts=_charts(directions, scores),
        map=drawn_map(points),
        cards=[(direction, card) for direction in directions for card in direction.cards],
        shelf=shelf,
    )


def _headlines(report: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """The few numbers on top: the first recall of each direction, and the sum or the mean over all."""
    made = []
    for name in names:
        key = next(key for key in tables.metric_keys(report, name) if key.startswith("recall_at_"))
        chance = number(key, report["chance"].get(f"{name}/{key}"))
        shown = f"{tables.direction_label(name)}, {metric_label(key)}"
        made.append({"name": shown, "unit": "%", "chance": chance, "cell": tables.cell(report, name, key)})
    for key, unit in (("mean_recall", "%"), ("recall_sum", "")):
        if key in report["metrics"]:
            label = metric_label(key)
            made.append({"name": label, "unit": unit, "chance": "", "cell": tables.cell(report, "", key)})
    return made


def _tables(report: Mapping[str, Any], names: Sequence[str]) -> dict[str, tables.Grid]:
    return {
        "results": tables.results(report, names),
        "others": tables.others(report, names),
        "widths": tables.widths(report, names),
        "indexes": tables.indexes(report),
        "hubness": tables.hubness(report),
    }


def _charts(directions: Sequence[DirectionPage], scores: PairScores) -> dict[str, Chart]:
    ranks = {tables.direction_label(direction.name): direction.ranks for direction in directions}
    return {
        "recall": recall_chart([_curve(direction) for direction in directions]),
        "ranks": rank_chart(ranks),
        "similarities": similarity_chart(scores),
    }


def _curve(direction: DirectionPage) -> Curve:
    ks = depths(direction.num_items)
    chance = chance_recall_at(direction.num_links, direction.num_items, ks)
    return Curve(tables.direction_label(direction.name), ks, recall_at(direction.ranks, ks), chance)
