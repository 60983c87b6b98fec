"""The tables of a page: numbers of report.json as texts in rows.

Place in the flow: report (version 2) -> rows -> the template.
Not here: anything computed, for every number is the report's own; and how a number is written (fusemix/tables.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fusemix.tables import LABELS, NOTHING, metric_label, number

COUNTS = ("queries", "gallery", "links", "tied_queries")


class Cell(NamedTuple):
    """A number as text, its 95 % interval, or an empty text, and whether it is the best of its column."""

    text: str
    interval: str = ""
    is_best: bool = False


class Row(NamedTuple):
    """One line of a table.

    Attributes:
        kind: `result`, `chance`, `counting`, `baseline`, `correction` or empty.
        name: what was measured; of results, the direction.
        direction: in words, with an arrow.
        about: one sentence, or empty.
        cells: one a column.
    """

    kind: str
    name: str
    direction: str
    about: str
    cells: list[Cell]


class Grid(NamedTuple):
    """A table: heads of its columns, and rows."""

    heads: list[str]
    rows: list[Row]


def direction_label(name: str) -> str:
    """`text_to_image` in words."""
    return name.replace("_to_", " → ").replace("_", " ")


def cell(report: Mapping[str, Any], direction: str, key: str) -> Cell:
    """A figure of the report with its interval; `direction` is empty for figures of both."""
    full = f"{direction}/{key}" if direction else key
    bounds = report.get("intervals", {}).get(full)
    interval = f"{number(key, bounds[0])}–{number(key, bounds[1])}" if bounds else ""
    return Cell(number(key, report["metrics"].get(full)), interval)


def metric_keys(report: Mapping[str, Any], direction: str) -> list[str]:
    """Names of the figures of one direction, in the report's order."""
    return [key.split("/", 1)[1] for key in report["metrics"] if key.startswith(f"{direction}/")]


def results(report: Mapping[str, Any], directions: Sequence[str]) -> Grid:
    """Both directions, each with what chance gives below it."""
    keys = metric_keys(report, directions[0])
    rows = []
    for name in directions:
        counts = [Cell(number(key, report["counts"][name].get(key))) for key in COUNTS]
        figures = [cell(report, name, key) for key in keys]
        rows.append(Row("result", direction_label(name), direction_label(name), "", figures + counts))
        chance = [Cell(_chance(report, name, key)) for key in keys]
        rows.append(Row("chance", "by chance", direction_label(name), "", chance + [Cell("")] * len(COUNTS)))
    return Grid([metric_label(key) for key in [*keys, *COUNTS]], rows)


def _chance(report: Mapping[str, Any], direction: str, key: str) -> str:
    value = report["chance"].get(f"{direction}/{key}")
    return "" if value is None else number(key, value)


def others(report: Mapping[str, Any], directions: Sequence[str]) -> Grid:
    """Equal captions as one, baselines and corrections, both directions each."""
    keys = metric_keys(report, directions[0])
    rows = []
    for other in report.get("others", []):
        for about, name in zip((other["about"], ""), directions, strict=True):
            figures = [Cell(number(key, other["metrics"].get(f"{name}/{key}"))) for key in keys]
            rows.append(Row(other["kind"], other["name"], direction_label(name), about, figures))
    return Grid([metric_label(key) for key in keys], rows)


def indexes(report: Mapping[str, Any]) -> Grid:
    """Searches that are not exact: how near they come, and what they cost."""
    found = report.get("indexes", [])
    metrics = list(found[0]["metrics"]) if found else []
    keys = ["exact_at_1", "exact_at_10", *metrics, "build_sec", "search_ms_per_query", "num_bytes"]
    rows = []
    for index in found:
        cells = [Cell(number(key, index["metrics"].get(key) if key in metrics else index.get(key))) for key in keys]
        about = index.get("parameters") or ""
        rows.append(Row("", index["factory"], direction_label(index["direction"]), about, cells))
    return Grid([metric_label(key) for key in keys], rows)


def widths(report: Mapping[str, Any], directions: Sequence[str]) -> Grid:
    """Recall with fewer numbers of each embedding, and with bytes in place of floats."""
    recalls = [key for key in metric_keys(report, directions[0]) if key.startswith("recall_at_")]
    keys = [f"{name}/{key}" for name in directions for key in recalls]
    heads = [f"{direction_label(name)} {metric_label(key)}" for name in directions for key in recalls]
    rows = []
    for row in report.get("widths", []):
        figures = [Cell(number(key.rpartition("/")[2], row["metrics"].get(key))) for key in [*keys, "recall_sum"]]
        label = f"{row['dim']} in {row['precision']}"
        rows.append(Row("", label, label, "", [Cell(f"{row['num_bytes']:,}"), *figures]))
    return Grid(["bytes an item", *heads, metric_label("recall_sum")], rows)


def hubness(report: Mapping[str, Any]) -> Grid:
    """How unevenly the items of a gallery are found."""
    found = report.get("hubness", {})
    keys = list(next(iter(found.values()))) if found else []
    rows = []
    for name, figures in found.items():
        label = direction_label(name)
        rows.append(Row("", label, label, "", [Cell(number(key, figures.get(key))) for key in keys]))
    return Grid([metric_label(key) for key in keys], rows)


def facts(part: Mapping[str, Any]) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """What can be read in a line, as (name, value), and what cannot, by name."""
    lines, nested = [], {}
    for key, value in part.items():
        label = LABELS.get(key, key.replace("_", " "))
        if key == "encoders":
            lines += [(f"encoders of {side}", ", ".join(names)) for side, names in value.items()]
        elif isinstance(value, Mapping):
            nested[label] = value
        elif isinstance(value, Sequence) and not isinstance(value, str):
            lines.append((label, ", ".join(map(str, value)) or NOTHING))
        else:
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
            lines.append((label, NOTHING if value is None else str(shown)))
    return lines, nested
