"""The report on classification: report.json for programs, report.md and a table for people.

Place in the flow: ZeroShot and the names of classes -> plain data, markdown, a table on the screen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from fusemix.disk.discarding import Owned, says
from fusemix.reports.reading import seen_notes
from fusemix.retrieval.zero_shot import DEFINITIONS, ZeroShot
from fusemix.tables import markdown_table, markdown_text, percent, terminal_table

FORMAT = "fusemix.zero_shot_report"
VERSION = 1
REPORT = Owned(
    "a zero-shot report",
    lambda folder: says(folder / "report.json", FORMAT, VERSION),
    ("report.json", "report.html", "report.md", "classes.png"),
)
TITLES = {"top_1": "top-1", "top_5": "top-5", "balanced_top_1": "top-1, mean of classes", "map": "mAP"}
HEADER = ["", "%", "95 %", "by chance"]
MOST_CONFUSIONS = 100
SHOWN_CONFUSIONS = 20


def report_data(
    found: ZeroShot,
    classes: Sequence[str],
    words: Sequence[str],
    *,
    data: dict[str, Any],
    model: dict[str, Any],
    seen: Sequence[dict[str, Any]],
    environment: dict[str, Any],
) -> dict[str, Any]:
    """Everything measured, and on what, as plain data.

    Args:
        found: what was measured.
        classes: as the data set calls them.
        words: their names in the prompts.
        data: data set, split, templates, counts of what could not be used, encoders.
        model: run, checkpoint and training data; or the encoders that were compared without a run.
        seen: what of the measured items the run has learned from; see models/learned.py.
        environment: versions and device.
    """
    per_class = [
        {"class": name, "words": text, "items": int(count), "top_1": _figure(top_1), "average_precision": _figure(ap)}
        for name, text, count, top_1, ap in zip(
            classes, words, found.num_items, found.accuracy, found.precision, strict=True
        )
    ]
    confusions = [
        {"class": classes[own], "taken_for": classes[other], "items": count, "of": int(found.num_items[own])}
        for own, other, count in found.confusions[:MOST_CONFUSIONS]
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "metrics": found.figures,
        "intervals": {name: list(interval) for name, interval in found.intervals.items()},
        "chance": found.chance,
        "counts": found.counts,
        "per_class": per_class,
        "confusions": confusions,
        "definitions": DEFINITIONS,
        "data": data,
        "model": model,
        "seen": list(seen),
        "environment": environment,
    }


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _rows(report: dict[str, Any]) -> list[list[str]]:
    return [
        [
            title,
            percent(report["metrics"][name]),
            " to ".join(map(percent, report["intervals"][name])),
            percent(report["chance"][name]),
        ]
        for name, title in TITLES.items()
    ]


def counts_line(report: dict[str, Any]) -> str:
    """What was measured on, in one line."""
    counts = report["counts"]
    empty = counts["classes_without_items"]
    return (
        f"{counts['items']:,} items, {counts['classes']:,} classes"
        f"{f' ({empty:,} of them without items)' if empty else ''}, {len(report['data']['templates']) or 'own'} "
        f"template(s) a class, {counts['tied_items']:,} items tied, {report['data']['num_unusable']:,} unusable"
    )


def table(report: dict[str, Any]) -> Table:
    """A table for the terminal, narrow enough for 80 columns."""
    return terminal_table(f"Zero-shot classification on {report['data']['name']}", HEADER, _rows(report))


def markdown(report: dict[str, Any], picture: str) -> str:
    """The report for people who read it in a browser or a repository."""
    words = {found["class"]: found["words"] for found in report["per_class"]}
    confusions = [
        [words[found["class"]], words[found["taken_for"]], f"{found['items']:,} of {found['of']:,}"]
        for found in report["confusions"][:SHOWN_CONFUSIONS]
    ]
    lines = [
        f"# Zero-shot classification on {markdown_text(report['data']['name'])}",
        "",
        *(line for note in seen_notes(report) for line in (f"> **{markdown_text(note)}**", "")),
        *markdown_table(HEADER, _rows(report)),
        "",
        f"{counts_line(report)}.",
        "",
        "## Classes",
        "",
        f"![accuracy of each class]({picture})",
        "",
        "Figures of every class are in report.json.",
        "",
        "## Most confused",
        "",
        *(markdown_table(["class", "taken for", "items"], confusions, words=range(2)) if confusions else ["None."]),
        "",
        "## What was measured",
        "",
        f"- data: {markdown_text(report['data']['name'])}, revision {markdown_text(report['data']['revision'])}",
        *(
            f"- {markdown_text(modality)}: {markdown_text(', '.join(names))}"
            for modality, names in report["data"]["encoders"].items()
        ),
        f"- templates: {markdown_text('; '.join(report['data']['templates'][:5])) or 'of the data set'}"
        + (" …" if len(report["data"]["templates"]) > 5 else ""),
        f"- {_model_line(report['model'])}",
        "",
        "## Definitions",
        "",
        *(f"- **{name}**: {text}" for name, text in report["definitions"].items()),
        "",
    ]
    return "\n".join(lines)


def _model_line(model: dict[str, Any]) -> str:
    if model["run"] is None:
        return "model: none; the encoders' latents were compared as they are"
    return (
        f"model: {markdown_text(model['run'])}, {model['checkpoint']} checkpoint, epoch {model['epoch']}, trained on "
        f"{markdown_text(model['train'])}, chosen on {markdown_text(model['validation'])}"
    )
