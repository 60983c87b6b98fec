"""The report: report.json for programs, report.md and tables for people.

Place in the flow: measured directions -> plain data -> files in the report folder and tables on the screen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from fusemix.markdown import escaped, table_lines
from fusemix.reports.schema import FORMAT, VERSION, seen_notes, spoken
from fusemix.retrieval import approximation, hubness, metrics
from fusemix.retrieval.intervals import DRAWS
from fusemix.retrieval.metrics import Direction, flat, with_sums

DEFINITIONS = {
    **metrics.DEFINITIONS,
    "intervals": f"95 % percentile bootstrap, {DRAWS:,} samples of the left items, each with all queries that belong "
    "to it; the gallery stays as it is.",
    **hubness.DEFINITIONS,
    **approximation.DEFINITIONS,
}
BY_CHANCE, INTERVAL = "  by chance", "  95 %"


def report_data(
    directions: Sequence[Direction],
    *,
    protocol: Mapping[str, Any],
    intervals: Mapping[str, tuple[float, float]],
    hubs: Mapping[str, Mapping[str, float]],
    others: Sequence[Mapping[str, Any]],
    indexes: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any],
    model: Mapping[str, Any],
    seen: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything measured, and on what, as plain data.

    Args:
        directions: what was measured.
        protocol: name, one sentence and number of folds.
        intervals: of the figures.
        hubs: direction -> figures of hubness.
        others: equal captions as one, baselines and corrections: name, kind, about, metrics.
        indexes: what indexes lose and gain.
        data: data set, split, counts of what could not be used, encoders, hashes.
        model: run, checkpoint and training data.
        seen: what of the measured items the run has learned from; see models/learned.py.
        environment: versions and device.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "protocol": dict(protocol),
        "metrics": with_sums(flat(directions)),
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "chance": flat(directions, "chance"),
        "counts": {direction.name: direction.counts for direction in directions},
        "hubness": {name: dict(figures) for name, figures in hubs.items()},
        "others": [dict(other) for other in others],
        "indexes": [dict(index) for index in indexes],
        "definitions": DEFINITIONS,
        "data": dict(data),
        "model": dict(model),
        "seen": [dict(entry) for entry in seen],
        "environment": dict(environment),
    }


def _depths(report: Mapping[str, Any]) -> list[str]:
    first = next(iter(report["counts"]))
    return [key.partition("/")[2] for key in report["metrics"] if key.startswith(f"{first}/recall_at_")]


def _result_rows(report: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for direction, counts in report["counts"].items():
        figures = {m: report["metrics"][f"{direction}/{m}"] for m in [*_depths(report), "median_rank", "mean_rank"]}
        bounds = {metric: report["intervals"].get(f"{direction}/{metric}") for metric in figures}
        sizes = [f"{counts[key]:,}" for key in ("queries", "gallery", "tied_queries")]
        rows.append([spoken(direction), *(_shown(metric, value) for metric, value in figures.items()), *sizes])
        if any(bounds.values()):
            rows.append([INTERVAL, *(_span(metric, pair) for metric, pair in bounds.items()), "", "", ""])
        chance = [f"{100 * report['chance'][f'{direction}/{key}']:.1f}" for key in _depths(report)]
        rows.append([BY_CHANCE, *chance, "", "", "", "", ""])
    return rows


def _shown(metric: str, value: float) -> str:
    if metric == "median_rank":
        return f"{value:g}"
    return f"{value:.1f}" if metric == "mean_rank" else f"{100 * value:.1f}"


def _span(metric: str, bounds: Sequence[float] | None) -> str:
    if not bounds:
        return ""
    low, high = (value if metric.endswith("_rank") else 100 * value for value in bounds)
    return f"{low:.0f}–{high:.0f}"


def _result_header(report: Mapping[str, Any]) -> list[str]:
    return ["direction", *map(_short, _depths(report)), "median", "mean", "queries", "gallery", "ties"]


def _short(metric: str) -> str:
    return f"R@{metric.removeprefix('recall_at_')}"


def _beside_header(report: Mapping[str, Any]) -> list[str]:
    return ["recall in %", *(_short(key) for _ in report["counts"] for key in _depths(report)), "sum"]


def _beside_rows(report: Mapping[str, Any]) -> list[list[str]]:
    this = {"name": "this model", "metrics": report["metrics"]}
    keys = [f"{direction}/{depth}" for direction in report["counts"] for depth in _depths(report)]
    return [
        [other["name"], *(f"{100 * other['metrics'][key]:.1f}" for key in [*keys, "recall_sum"])]
        for other in (this, *report["others"])
    ]


def _index_header(report: Mapping[str, Any]) -> list[str]:
    return ["index", "first", "ten", *map(_short, _depths(report)), "build s", "ms", "MB"]


def _index_rows(report: Mapping[str, Any], direction: str) -> list[list[str]]:
    return [
        [
            " ".join(filter(None, [row["factory"], row["parameters"]])),
            *(f"{100 * row[key]:.1f}" for key in ("exact_at_1", "exact_at_10")),
            *(f"{100 * row['metrics'][key]:.1f}" for key in _depths(report)),
            f"{row['build_sec']:.2f}",
            f"{row['search_ms_per_query']:.3f}",
            f"{row['num_bytes'] / 1e6:.1f}",
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
    title = f"Retrieval on {report['data']['name']} (recall in %, ranks from 1)"
    made = [_table(title, _result_header(report), _result_rows(report))]
    if report["others"]:
        directions = ", then ".join(map(spoken, report["counts"]))
        made.append(_table(f"Beside it ({directions})", _beside_header(report), _beside_rows(report)))
    for direction, title in _index_titles(report).items():
        made.append(_table(title, _index_header(report), _index_rows(report, direction)))
    return made


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    made = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for place, name in enumerate(header):
        made.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row, style="dim" if row[0].startswith("  ") else None)
    return made


def markdown(report: Mapping[str, Any], picture: str | None) -> str:
    """The report for people who read it in a browser or a repository."""
    figures, data, model = report["metrics"], report["data"], report["model"]
    lines = [
        f"# Retrieval on {escaped(data['name'])}",
        "",
        *(line for note in seen_notes(report) for line in (f"> **{escaped(note)}**", "")),
        "Recall in percent; median and mean of the rank of the first hit, counted from 1.",
        "",
        *table_lines(_result_header(report), _cells(_result_rows(report))),
        "",
        f"Sum of recalls {100 * figures['recall_sum']:.1f}, mean {100 * figures['mean_recall']:.1f} %. "
        + " ".join(_cumulative(report, direction) for direction in report["counts"]),
        "",
        *_section("Beside it", _beside_header(report), _beside_rows(report) if report["others"] else []),
        *(f"- **{escaped(other['name'])}**: {escaped(other['about'])}" for other in report["others"]),
        *([""] if report["others"] else []),
        *(
            line
            for direction, title in _index_titles(report).items()
            for line in _section(title, _index_header(report), _index_rows(report, direction))
        ),
        "## Hubs",
        "",
        *(_hubs(direction, found) for direction, found in report["hubness"].items()),
        "",
        "## What was measured",
        "",
        f"- protocol {report['protocol']['name']}: {report['protocol']['about']}",
        f"- data: {escaped(data['name'])}, revision {escaped(data['revision'])}",
        f"- items that could not be used: {data['num_unusable']:,}",
        *(f"- {escaped(modality)}: {escaped(', '.join(names))}" for modality, names in data["encoders"].items()),
        f"- model: {escaped(model['run'])}, {model['checkpoint']} checkpoint, epoch {model['epoch']}, "
        f"trained on {escaped(model['train'])}, chosen on {escaped(model['validation'])}",
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
        f"- {spoken(direction)}: {100 * found['over_retrieved']:.1f} % of the gallery is over-retrieved, "
        f"{100 * found['never_retrieved']:.1f} % is never among the first 10; the most often found item is so for "
        f"{found['largest']:,} queries; skewness {found['skewness_at_10']:.2f}"
    )


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"## {escaped(title)}", "", *table_lines(header, _cells(rows)), ""] if rows else []


def _cells(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[escaped(cell) for cell in row] for row in rows]
