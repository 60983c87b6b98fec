"""The page of a zero-shot report: figures, classes, what is taken for what, and items with the classes nearest to them.

Place in the flow: report.json of `eval_zero_shot`, confusions and cards -> text of report.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fusemix.reports.classes.report import TITLES
from fusemix.reports.page import tables
from fusemix.reports.page.data import Card
from fusemix.reports.page.shelf import Shelf
from fusemix.reports.page.shell import rendered, run_name
from fusemix.reports.reading import seen_notes
from fusemix.retrieval.zero_shot import ZeroShot
from fusemix.tables import percent

WORST = 12
"""Classes whose confusions are shown."""
MOST_COLUMNS = 20
ENDS = 30
"""Of many classes, those that are shown at either end before one unfolds all."""


class ConfusionRow(NamedTuple):
    """What the items of one class were taken for.

    Attributes:
        name: of the class.
        num_items: of the class.
        counts: items that were nearest to the class of each column; the last counts all other classes.
        own: column of the class itself.
    """

    name: str
    num_items: int
    counts: list[int]
    own: int


class Confusion(NamedTuple):
    """The classes with the lowest accuracy, and what they were taken for."""

    columns: list[str]
    rows: list[ConfusionRow]


def confusion_table(found: ZeroShot, words: list[str]) -> Confusion:
    """What the worst classes are taken for; the classes themselves and those they are taken for most are the columns.

    Args:
        found: what was measured.
        words: names of the classes.
    """
    order = np.argsort(found.accuracy, kind="stable")  # NaN, for classes without items, come last
    worst: list[int] = [place for place in order.tolist() if found.accuracy[place] < 1][:WORST]
    pairs = {(own, other): count for own, other, count in found.confusions if own in worst}
    others = dict.fromkeys(other for _, other in sorted(pairs, key=lambda pair: -pairs[pair]) if other not in worst)
    columns = [*worst, *others][:MOST_COLUMNS]
    rows = []
    for column, own in enumerate(worst):
        num_items = int(found.num_items[own])
        wrong = sum(count for (of, _), count in pairs.items() if of == own)
        counts = [num_items - wrong if other == own else pairs.get((own, other), 0) for other in columns]
        rows.append(ConfusionRow(words[own], num_items, [*counts, num_items - sum(counts)], column))
    return Confusion([words[place] for place in columns], rows)


def render_zero_shot(report: Mapping[str, Any], confusion: Confusion, cards: Sequence[Card], modality: str) -> str:
    """The whole page as HTML.

    Args:
        report: report.json of `eval_zero_shot`.
        confusion: of its worst classes.
        cards: items with the classes that are nearest to them.
        modality: of the items.
    """
    run, name = run_name(report["model"]), report["data"]["name"]
    classes = sorted(
        (each for each in report["per_class"] if each["items"]), key=lambda each: (each["top_1"], each["class"])
    )
    taken_for: dict[str, dict[str, Any]] = {}
    for each in report["confusions"]:
        taken_for.setdefault(each["class"], each)
    return rendered(
        "zero_shot.html.j2",
        title=f"{run or 'no run'} on {name} · zero-shot",
        scripts=("shared.js", "page.js"),
        report=report,
        run=run,
        name=name,
        seen=seen_notes(report),
        headlines=[_headline(report, key, words) for key, words in TITLES.items()],
        classes=classes,
        words={each["class"]: each["words"] for each in report["per_class"]},
        taken_for=taken_for,
        ends=ENDS,
        confusion=confusion,
        cards=cards,
        direction=f"{modality}_to_class",
        facts={part: tables.facts(report[part]) for part in ("data", "model", "environment")},
        shelf=Shelf(),
    )


def _headline(report: Mapping[str, Any], key: str, words: str) -> dict[str, Any]:
    cell = tables.Cell(percent(report["metrics"][key]), "–".join(map(percent, report["intervals"][key])))
    return {"name": words, "unit": "%", "chance": percent(report["chance"][key]), "cell": cell}
