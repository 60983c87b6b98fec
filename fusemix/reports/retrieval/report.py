"""The report: report.json for programs, report.md and tables for people.

Place in the flow: measured directions -> plain data -> files in the report folder and tables on the screen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from fusemix.reports.reading import FORMAT, VERSION, corrected_text, seen_notes
from fusemix.retrieval import approximation, hubness, metrics
from fusemix.retrieval.intervals import DRAWS
from fusemix.retrieval.metrics import Direction, flat, with_sums
from fusemix.tables import markdown_table, markdown_text, metric_label, number, percent, spoken, terminal_table

DEFINITIONS = {
    **metrics.DEFINITIONS,
    "intervals": f"95 % percentile bootstrap, {DRAWS:,} samples of the left items, each with all queries that belong "
    "to it; the gallery stays as it is.",
    **hubness.DEFINITIONS,
    **approximation.DEFINITIONS,
    "widths": "Recall with the first numbers of each embedding, at unit length again, as an index of that `dim` and "
    "`precision` keeps them; in int8 queries are rounded, too, which those of an index are not.",
}
BY_CHANCE, INTERVAL = "  by chance", "  95 %"
WIDTHS = "Fewer numbers, and bytes in their place"


def report_data(
    directions: Sequence[Direction],
    *,
    protocol: Mapping[str, Any],
    intervals: Mapping[str, tuple[float, float]],
    hubs: Mapping[str, Mapping[str, float]],
    others: Sequence[Mapping[str, Any]],
    indexes: Sequence[Mapping[str, Any]],
    widths: Sequence[Mapping[str, Any]] = (),
    data: Mapping[str, Any],
    model: Mapping[str, Any],
    seen: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
    is_corrected: bool = False,
) -> dict[str, Any]:
    """Everything measured, and on what, as plain data.

    Args:
        directions: what was measured.
        protocol: name, one sentence and number of folds.
        intervals: of the figures.
        hubs: direction -> figures of hubness.
        others: equal captions as one, baselines and corrections: name, kind, about, metrics.
        indexes: what indexes lose and gain.
        widths: recall with fewer numbers and bits: dim, precision, num_bytes of an item, metrics.
        data: data set, split, counts of what could not be used, encoders, hashes.
        model: run, checkpoint and training data.
        seen: what of the measured items the run has learned from; see models/learned.py.
        environment: versions and device.
        is_corrected: whether figures are those with hub constants.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "is_corrected": is_corrected,
        "protocol": dict(protocol),
        "metrics": with_sums(flat(directions)),
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "chance": flat(directions, "chance"),
        "counts": {direction.name: direction.counts for direction in directions},
        "hubness": {name: dict(figures) for name, figures in hubs.items()},
        "others": [dict(other) for other in others],
        "indexes": [dict(index) for index in indexes],
        "widths": [dict(row) for row in widths],
        "definitions": DEFINITIONS,
        "data": dict(data),
        "model": dict(model),
        "seen": [dict(entry) for entry in seen],
        "environment": dict(environment),
    }


def _depths(report: Mapping[str, Any]) -> list[str]:
    first = next(iter(report["counts"]))
    return [key.partition("/")[2] for key in report["metrics"] if key.startswith(f"{first}/recall_at_")]


def result_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Figures of each direction, their intervals, and what chance gives."""
    rows = []
    for direction, counts in report["counts"].items():
        figures = {m: report["metrics"][f"{direction}/{m}"] for m in [*_depths(report), "median_rank", "mean_rank"]}
        bounds = {metric: report["intervals"].get(f"{direction}/{metric}") for metric in figures}
        sizes = [f"{counts[key]:,}" for key in ("queries", "gallery", "tied_queries")]
        rows.append([spoken(direction), *(_figure(metric, value) for metric, value in figures.items()), *sizes])
        if any(bounds.values()):
            rows.append([INTERVAL, *(_span(metric, pair) for metric, pair in bounds.items()), "", "", ""])
        chance = [percent(report["chance"][f"{direction}/{key}"]) for key in _depths(report)]
        rows.append([BY_CHANCE, *chance, "", "", "", "", ""])
    return rows


def _figure(metric: str, value: float) -> str:
    return number(metric, value) if metric.endswith("_rank") else percent(value)


def _span(metric: str, bounds: Sequence[float] | None) -> str:
    if not bounds:
        return ""
    low, high = (value if metric.endswith("_rank") else 100 * value for value in bounds)
    return f"{low:.0f}–{high:.0f}"


def result_header(report: Mapping[str, Any]) -> list[str]:
    """Heads of these rows."""
    return ["direction", *map(metric_label, _depths(report)), "median", "mean", "queries", "gallery", "ties"]


def _beside_header(report: Mapping[str, Any]) -> list[str]:
    return ["recall in %", *(metric_label(key) for _ in report["counts"] for key in _depths(report)), "sum"]


def _beside_rows(report: Mapping[str, Any]) -> list[list[str]]:
    this = {"name": "this model", "metrics": report["metrics"]}
    keys = [*_recalls(report), "recall_sum"]
    return [[other["name"], *(percent(other["metrics"][key]) for key in keys)] for other in (this, *report["others"])]


def _recalls(report: Mapping[str, Any]) -> list[str]:
    return [f"{direction}/{depth}" for direction in report["counts"] for depth in _depths(report)]


def _width_header(report: Mapping[str, Any]) -> list[str]:
    depths = (metric_label(key) for _ in report["counts"] for key in _depths(report))
    return ["numbers", "bytes", *depths, "sum"]


def _width_rows(report: Mapping[str, Any]) -> list[list[str]]:
    keys = [*_recalls(report), "recall_sum"]
    return [
        [f"{row['dim']} {row['precision']}", f"{row['num_bytes']:,}", *(percent(row["metrics"][key]) for key in keys)]
        for row in report.get("widths", [])
    ]


def _index_header(report: Mapping[str, Any]) -> list[str]:
    return ["index", "first", "ten", *map(metric_label, _depths(report)), "build s", "ms", "MB"]


def _index_rows(report: Mapping[str, Any], direction: str) -> list[list[str]]:
    return [
        [
            " ".join(filter(None, [row["factory"], row["parameters"]])),
            *(percent(row[key]) for key in ("exact_at_1", "exact_at_10")),
            *(percent(row["metrics"][key]) for key in _depths(report)),
            f"{row['build_sec']:.2f}",
            f"{row['search_ms_per_query']:.3f}",
            number("num_bytes", row["num_bytes"]),
        ]
        for row in report["indexes"]
        if row["direction"] == direction
    ]


def _index_titles(report: Mapping[str, Any]) -> dict[str, str]:
    """Direction -> title of its table."""
    directions = dict.fromkeys(row["direction"] for row in report["indexes"])
    return {
        name: f"Indexes against exact search, {spoken(name)} (first and ten of exact search found, in %)"
        for name in directions
    }


def tables(report: Mapping[str, Any]) -> list[Table]:
    """Tables for the terminal; the first is narrow enough for 80 columns."""
    title = f"Retrieval on {report['data']['name']}{corrected_text(report)} (recall in %, ranks from 1)"
    made = [_terminal(title, result_header(report), result_rows(report))]
    directions = ", then ".join(map(spoken, report["counts"]))
    if report["others"]:
        made.append(_terminal(f"Beside it ({directions})", _beside_header(report), _beside_rows(report)))
    for direction, title in _index_titles(report).items():
        made.append(_terminal(title, _index_header(report), _index_rows(report, direction)))
    if rows := _width_rows(report):
        made.append(_terminal(f"{WIDTHS} ({directions})", _width_header(report), rows))
    return made


def _terminal(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return terminal_table(title, header, rows, style=styled, is_tight=True)


def styled(row: Sequence[str]) -> str:
    """How a row is drawn in the terminal."""
    return "dim" if row[0].startswith("  ") else ""


def markdown(report: Mapping[str, Any], picture: str | None) -> str:
    """The report for people who read it in a browser or a repository."""
    figures, data, model = report["metrics"], report["data"], report["model"]
    lines = [
        f"# Retrieval on {markdown_text(data['name'])}{corrected_text(report)}",
        "",
        *(line for note in seen_notes(report) for line in (f"> **{markdown_text(note)}**", "")),
        "Recall in percent; median and mean of the rank of the first hit, counted from 1.",
        "",
        *markdown_table(result_header(report), result_rows(report)),
        "",
        f"Sum of recalls {percent(figures['recall_sum'])}, mean {percent(figures['mean_recall'])} %. "
        + " ".join(_cumulative(report, direction) for direction in report["counts"]),
        "",
        *_section("Beside it", _beside_header(report), _beside_rows(report) if report["others"] else []),
        *(f"- **{markdown_text(other['name'])}**: {markdown_text(other['about'])}" for other in report["others"]),
        *([""] if report["others"] else []),
        *(
            line
            for direction, title in _index_titles(report).items()
            for line in _section(title, _index_header(report), _index_rows(report, direction))
        ),
        *_section(WIDTHS, _width_header(report), _width_rows(report)),
        "## Hubs",
        "",
        *(_hubs(direction, found) for direction, found in report["hubness"].items()),
        "",
        "## What was measured",
        "",
        f"- protocol {report['protocol']['name']}: {report['protocol']['about']}",
        f"- data: {markdown_text(data['name'])}, revision {markdown_text(data['revision'])}",
        f"- items that could not be used: {data['num_unusable']:,}",
        *(
            f"- {markdown_text(modality)}: {markdown_text(', '.join(names))}"
            for modality, names in data["encoders"].items()
        ),
        f"- model: {markdown_text(model['run'])}, {model['checkpoint']} checkpoint, epoch {model['epoch']}, "
        f"trained on {markdown_text(model['train'])}, chosen on {markdown_text(model['validation'])}",
        "",
        "## Definitions",
        "",
        *(f"- **{name}**: {text}" for name, text in report["definitions"].items()),
        "",
    ]
    if picture:
        lines += ["## Sample queries", "", f"![sample queries and what they found]({picture})", ""]
    return "\n".join(lines)


def _cumulative(report: Mapping[str, Any], direction: str) -> str:
    mrr, precision, gain = (report["metrics"][f"{direction}/{key}"] for key in ("mrr", "map_at_10", "ndcg_at_10"))
    return f"{spoken(direction).capitalize()}: MRR {mrr:.3f}, mAP@10 {precision:.3f}, nDCG@10 {gain:.3f}."


def _hubs(direction: str, found: Mapping[str, float]) -> str:
    return (
        f"- {spoken(direction)}: {percent(found['over_retrieved'])} % of the gallery is over-retrieved, "
        f"{percent(found['never_retrieved'])} % is never among the first 10; the most often found item is so for "
        f"{found['largest']:,} queries; skewness {found['skewness_at_10']:.2f}"
    )


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"## {markdown_text(title)}", "", *markdown_table(header, rows), ""] if rows else []
