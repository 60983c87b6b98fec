r"""Tables for papers: one row a run, recall of both directions, as LaTeX (booktabs) or markdown.

Place in the flow: reports -> PaperTable -> `fusemix report`, compare.md.
Not here: the report of one evaluation (retrieval/report.py), and how a table is written (fusemix/tables.py).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fusemix.reports.reading import RECALL, Report, common_ks, told_first
from fusemix.tables import DAGGER, Best, latex_table, markdown_table, markdown_text, metric_label, percent, spoken


class Row(NamedTuple):
    """One line of a table.

    Attributes:
        name: of the run or the baseline.
        values: recalls, then their sum, as fractions; None where not measured.
        is_baseline: whether it stands above the runs.
        is_comparable: whether it was measured on the items of the first run.
    """

    name: str
    values: Sequence[float | None]
    is_baseline: bool
    is_comparable: bool


class PaperTable(NamedTuple):
    """A table before it is written in any language.

    Attributes:
        directions: the two.
        ks: depths of recall.
        rows: baselines first.
        caption: what was measured and by which definitions, in sentences.
    """

    directions: tuple[str, str]
    ks: Sequence[int]
    rows: Sequence[Row]
    caption: Sequence[str]


def paper_table(reports: Sequence[Report], names: Sequence[str], reasons: Sequence[Sequence[str]]) -> PaperTable:
    """Put reports into one table, with the baselines that they hold above them.

    Args:
        reports: of the same two directions; the first says what the caption says.
        names: of the runs.
        reasons: why each run cannot be compared with the first; empty where it can.
    """
    first, ks = reports[0], common_ks(reports)
    keys = [f"{direction}/{RECALL}{k}" for direction in first.directions for k in ks]
    runs = [
        Row(name, _values(report.data["metrics"], keys), False, not why)
        for report, name, why in zip(reports, names, reasons, strict=True)
    ]
    baselines = _baselines(reports, names, keys, [not why for why in reasons])
    caption = [*measured(first), *_defined(len(keys))]
    caption += [
        f"{DAGGER} {name} cannot be compared with {names[0]}: {'; '.join(why)}."
        for name, why in zip(names, reasons, strict=True)
        if why
    ]
    caption += told_first(reports, names)
    return PaperTable(first.directions, ks, [*baselines, *runs], caption)


def _values(metrics: Mapping[str, float], keys: Sequence[str]) -> list[float | None]:
    recalls = [metrics.get(key) for key in keys]
    measured = [recall for recall in recalls if recall is not None]
    return [*recalls, sum(measured) if len(measured) == len(keys) else None]


def _baselines(
    reports: Sequence[Report], names: Sequence[str], keys: Sequence[str], comparable: Sequence[bool]
) -> list[Row]:
    """Baselines of all reports; one that several runs share, with the same figures, stands there once."""
    found: list[tuple[Row, str]] = []
    for report, run, is_comparable in zip(reports, names, comparable, strict=True):
        for other in report.data.get("others", []):
            row = Row(other["name"], _values(other["metrics"], keys), True, is_comparable)
            if other["kind"] == "baseline" and row not in [known for known, _ in found]:
                found.append((row, run))
    shared = [row.name for row, _ in found]
    return [row._replace(name=f"{row.name} ({run})") if shared.count(row.name) > 1 else row for row, run in found]


def measured(report: Report) -> list[str]:
    """What a report measured: data, protocol, counts; in sentences."""
    data, protocol = report.data["data"], report.data["protocol"]
    what = f"{data['dataset']}, split {data['split']}" if {"dataset", "split"} <= data.keys() else data["name"]
    about = f": {protocol['about'].rstrip('.')}" if protocol.get("about") else ""
    folds = f" Figures are means over {protocol['folds']} folds." if protocol.get("folds", 1) > 1 else ""
    sizes = [
        f"{spoken(direction)}: {counts['queries']:,} queries in a gallery of {counts['gallery']:,}"
        for direction, counts in report.data["counts"].items()
    ]
    counted = "; ".join(sizes)
    return [
        f"Retrieval on {what}.",
        f"Protocol {protocol['name']}{about}.{folds}",
        f"{counted[0].upper()}{counted[1:]}.",
    ]


def _defined(num_recalls: int) -> list[str]:
    return [
        "R@k in %: the share of queries with at least one linked item among the first k, a hit rate.",
        "A linked item that ties with unlinked ones ranks after them.",
        f"Sum: of the {num_recalls} recalls.",
    ]


def best_of(values: Sequence[float | None]) -> str | None:
    """The largest figure as it is shown, so that figures which look equal are both the best; None of fewer than two."""
    known = [value for value in values if value is not None]
    return percent(max(known)) if len(known) > 1 else None


def with_best(values: Sequence[float | None], best: Sequence[str | None]) -> list[str]:
    """Figures as percentages; those that are shown as the best of their column are marked as such."""
    texts = map(percent, values)
    return [Best(text) if text == top else text for text, top in zip(texts, best, strict=True)]


def _cells(table: PaperTable) -> list[list[str]]:
    comparable = [row.values for row in table.rows if row.is_comparable]
    best = [best_of(column) for column in zip(*comparable, strict=True)]
    rows = []
    for row in table.rows:
        figures = with_best(row.values, best) if row.is_comparable else map(percent, row.values)
        rows.append([row.name if row.is_comparable else f"{row.name} {DAGGER}", *figures])
    return rows


def latex(table: PaperTable) -> str:
    """The table in LaTeX; see `tables.latex_table`."""
    depths = [metric_label(f"{RECALL}{k}") for k in table.ks]
    return latex_table(
        ["Run", *depths * 2, "Sum"],
        _cells(table),
        groups=[(spoken(name), len(depths)) for name in table.directions],
        num_above=sum(row.is_baseline for row in table.rows),
        caption=" ".join(table.caption),
    )


def markdown(table: PaperTable) -> str:
    """The same table in markdown, with the caption under it."""
    heads = [f"{spoken(name)} {metric_label(f'{RECALL}{k}')}" for name in table.directions for k in table.ks]
    lines = markdown_table(["run", *heads, "sum"], _cells(table))
    return "\n".join([*lines, "", markdown_text(" ".join(table.caption)), ""])
