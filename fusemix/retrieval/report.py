"""The report: report.json for programs, report.md and a table for people.

Place in the flow: measured directions -> files in the report folder and a table on the screen.
"""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from fusemix.retrieval.metrics import DEFINITIONS, Direction, flat, mean_recall

FORMAT = "fusemix.report"
VERSION = 1


def report_data(
    directions: Sequence[Direction], *, data: dict[str, Any], model: dict[str, Any], environment: dict[str, Any]
) -> dict[str, Any]:
    """Everything measured, and on what, as plain data.

    Args:
        directions: what was measured.
        data: data set, split, counts of what could not be used, encoders.
        model: run, checkpoint and training data.
        environment: versions and device.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "metrics": {**flat(directions), "mean_recall": mean_recall(directions)},
        "chance": flat(directions, "chance"),
        "counts": {direction.name: direction.counts for direction in directions},
        "definitions": DEFINITIONS,
        "data": data,
        "model": model,
        "environment": environment,
    }


def _columns(directions: Sequence[Direction]) -> list[str]:
    return [key for key in directions[0].figures if key.startswith("recall_at_")]


def _rows(directions: Sequence[Direction]) -> list[list[str]]:
    rows = []
    for direction in directions:
        figures, counts = direction.figures, direction.counts
        recalls = [f"{100 * figures[key]:.1f}" for key in _columns(directions)]
        ranks = [f"{figures['median_rank']:g}", f"{figures['mean_rank']:.1f}"]
        sizes = [f"{counts['queries']:,}", f"{counts['gallery']:,}", f"{counts['tied_queries']:,}"]
        rows.append([direction.name.replace("_", " "), *recalls, *ranks, *sizes])
        chance = [f"{100 * direction.chance[key]:.1f}" for key in _columns(directions)]
        rows.append(["  by chance", *chance, "", "", "", "", ""])
    return rows


def _header(directions: Sequence[Direction]) -> list[str]:
    recalls = [f"R@{key.removeprefix('recall_at_')}" for key in _columns(directions)]
    return ["direction", *recalls, "median", "mean", "queries", "gallery", "ties"]


def table(directions: Sequence[Direction], title: str) -> Table:
    """A table for the terminal, narrow enough for 80 columns."""
    made = Table(title=f"{title} (recall in %, ranks from 1)", title_justify="left", box=box.SIMPLE, pad_edge=False)
    for place, name in enumerate(_header(directions)):
        made.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in _rows(directions):
        made.add_row(*row, style="dim" if row[0].startswith("  ") else None)
    return made


def markdown(directions: Sequence[Direction], report: dict[str, Any], picture: str | None) -> str:
    """The report for people who read it in a browser or a repository."""
    header = _header(directions)
    lines = [
        f"# Retrieval on {report['data']['name']}",
        "",
        "Recall in percent; median and mean of the rank of the first hit, counted from 1.",
        "",
        "| " + " | ".join(header) + " |",
        "|---" + "|---:" * (len(header) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in _rows(directions)),
        "",
        f"Mean recall: {100 * report['metrics']['mean_recall']:.1f} %.",
        f"Items that could not be used: {report['data']['num_unusable']:,}.",
        "",
        "## What was measured",
        "",
        f"- data: {report['data']['name']}, revision {report['data']['revision']}",
        *(f"- {modality}: {', '.join(names)}" for modality, names in report["data"]["encoders"].items()),
        f"- model: {report['model']['run']}, {report['model']['checkpoint']} checkpoint, epoch "
        f"{report['model']['epoch']}, trained on {report['model']['train']}, chosen on {report['model']['validation']}",
        "",
        "## Definitions",
        "",
        *(f"- **{name}**: {text}" for name, text in DEFINITIONS.items()),
        "",
    ]
    if picture:
        lines += ["## Sample queries", "", f"![sample queries and what they found]({picture})", ""]
    return "\n".join(lines)
