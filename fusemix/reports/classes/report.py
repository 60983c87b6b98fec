"""The report on classification: report.json for programs, report.md and a table for people.

Place in the flow: ZeroShot and the names of classes -> plain data, markdown, a table on the screen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from fusemix.disk.discarding import Owned, says
from fusemix.markdown import escaped, table_lines
from fusemix.reports.schema import seen_notes
from fusemix.retrieval.zero_shot import DEFINITIONS, ZeroShot

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
            f"{100 * report['metrics'][name]:.1f}",
            " to ".join(f"{100 * end:.1f}" for end in report["intervals"][name]),
            f"{100 * report['chance'][name]:.1f}",
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
    title = f"Zero-shot classification on {report['data']['name']}"
    made = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)
    for place, name in enumerate(HEADER):
        made.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in _rows(report):
        made.add_row(*row)
    return made


def markdown(report: dict[str, Any], picture: str) -> str:
    """The report for people who read it in a browser or a repository."""
    words = {found["class"]: found["words"] for found in report["per_class"]}
    confusions = [
        f"| {escaped(words[found['class']])} | {escaped(words[found['taken_for']])} "
        f"| {found['items']:,} of {found['of']:,} |"
        for found in report["confusions"][:SHOWN_CONFUSIONS]
    ]
    lines = [
        f"# Zero-shot classification on {escaped(report['data']['name'])}",
        "",
        *(line for note in seen_notes(report) for line in (f"> **{escaped(note)}**", "")),
        *table_lines(HEADER, _rows(report)),
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
        *(["| class | taken for | items |", "|---|---|---:|", *confusions] if confusions else ["None."]),
        "",
        "## What was measured",
        "",
        f"- data: {escaped(report['data']['name'])}, revision {escaped(report['data']['revision'])}",
        *(
            f"- {escaped(modality)}: {escaped(', '.join(names))}"
            for modality, names in report["data"]["encoders"].items()
        ),
        f"- templates: {escaped('; '.join(report['data']['templates'][:5])) or 'of the data set'}"
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
        f"model: {escaped(model['run'])}, {model['checkpoint']} checkpoint, epoch {model['epoch']}, trained on "
        f"{escaped(model['train'])}, chosen on {escaped(model['validation'])}"
    )
