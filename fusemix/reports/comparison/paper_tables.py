r"""Tables for papers: one row a run, recall of both directions, as LaTeX (booktabs) or markdown.

Place in the flow: reports -> PaperTable -> `fusemix report`, compare.md.
Not here: the report of one evaluation (report.py).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fusemix import markdown
from fusemix.markdown import table_lines
from fusemix.reports.reading import RECALL, Report, common_ks
from fusemix.reports.schema import seen_notes, spoken

DAGGER = "†"
"""Marks rows whose figures were not measured on the items of the others."""
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # \textquotedbl stops a paper without T1 fonts
    "[": "{[}",  # after \\ it would begin an option
    "]": "{]}",
    "`": r"\char96{}",
    DAGGER: r"\textdagger{}",
    "–": "--",
}


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
    caption += [
        f"{name}: {note}" for name, report in zip(names, reports, strict=True) for note in seen_notes(report.data)
    ]
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


def shown(value: float | None) -> str:
    """A fraction as a percentage with one decimal; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"


def best_of(values: Sequence[float | None]) -> str | None:
    """The largest figure as it is shown, so that figures which look equal are both the best; None of fewer than two."""
    known = [value for value in values if value is not None]
    return shown(max(known)) if len(known) > 1 else None


def _cells(table: PaperTable, write: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    comparable = [row.values for row in table.rows if row.is_comparable]
    best = [best_of(column) for column in zip(*comparable, strict=True)]
    rows = []
    for row in table.rows:
        name = write(row.name if row.is_comparable else f"{row.name} {DAGGER}")
        texts = [shown(value) for value in row.values]
        is_best = [row.is_comparable and text == top for text, top in zip(texts, best, strict=True)]
        rows.append([name, *(bold(write(t)) if top else write(t) for t, top in zip(texts, is_best, strict=True))])
    return rows


def latex_text(text: Any) -> str:
    """Text as LaTeX shows it letter for letter, in one line."""
    return "".join(LATEX.get(letter, letter) for letter in " ".join(str(text).split()))


def latex_table(table: PaperTable) -> str:
    r"""A `table` environment for a LaTeX paper, which needs \usepackage{booktabs}."""
    width = len(table.ks)
    cells = _cells(table, latex_text, lambda text: rf"\textbf{{{text}}}")
    lines = [" & ".join(row) + r" \\" for row in cells]
    num_baselines = sum(row.is_baseline for row in table.rows)
    if num_baselines:
        lines.insert(num_baselines, r"\midrule")
    heads = [rf"\multicolumn{{{width}}}{{c}}{{{latex_text(spoken(name))}}}" for name in table.directions]
    rules = [rf"\cmidrule(lr){{{start}-{start + width - 1}}}" for start in (2, 2 + width)]
    depths = [f"R@{k}" for _ in table.directions for k in table.ks]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(' '.join(table.caption))}}}",
            rf"\begin{{tabular}}{{l{'r' * (2 * width + 1)}}}",
            r"\toprule",
            " & ".join(["", *heads, ""]) + r" \\",
            " ".join(rules),
            " & ".join(["Run", *depths, "Sum"]) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def markdown_table(table: PaperTable) -> str:
    """The same table in markdown, with the caption under it."""
    heads = [f"{spoken(name)} R@{k}" for name in table.directions for k in table.ks]
    rows = _cells(table, markdown.escaped, lambda text: f"**{text}**")
    lines = table_lines(["run", *heads, "sum"], rows)
    return "\n".join([*lines, "", markdown.escaped(" ".join(table.caption)), ""])
