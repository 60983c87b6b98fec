"""A comparison for people: tables for a terminal of 100 columns, and compare.md.

Place in the flow: reports and Comparisons -> rich tables, markdown.
"""

from collections.abc import Iterator, Sequence
from itertools import compress

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from fusemix.reports.comparison.paper_tables import best_of, markdown, measured, paper_table, with_best
from fusemix.reports.comparison.side_by_side import DEFINITIONS, MRR, Comparison
from fusemix.reports.reading import RECALL, Report, common_ks, told_first
from fusemix.tables import (
    DAGGER,
    markdown_table,
    markdown_text,
    metric_label,
    number,
    percent,
    spoken,
    terminal_table,
)

RUN = Column("run", max_width=34, overflow="fold")
"""A longer name goes on in the next line."""


def comparison_parts(
    reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison]
) -> Iterator[RenderableType]:
    """What `fusemix compare` prints: all figures, the differences, and what cannot be compared.

    Args:
        reports, names: of the runs, the first first.
        comparisons: of every further run with the first.
    """
    yield from (Text(note, style="yellow") for note in told_first(reports, names))
    yield _figures(reports, names, [True, *(not made.reasons for made in comparisons)])
    yield Text(" ".join(measured(reports[0])), style="dim")
    if any(made.differences for made in comparisons):
        yield _differences(names[0], comparisons)
        yield Text(about_p(comparisons), style="dim")
    for made in comparisons:
        if made.reasons:
            why = "; ".join(made.reasons)
            text = f"{DAGGER} {made.run} cannot be compared with {names[0]}, and gets no p-value: {why}."
            yield Text(text, style="yellow")


def _figures(reports: Sequence[Report], names: Sequence[str], comparable: Sequence[bool]) -> Table:
    recalls = [f"{RECALL}{k}" for k in common_ks(reports)]
    labels = [f"  {name}" if is_in else f"  {name} {DAGGER}" for name, is_in in zip(names, comparable, strict=True)]
    totals = [0.0 for _ in reports]
    rows: list[list[str | Text]] = []
    for direction in reports[0].directions:
        rows.append(_heading(spoken(direction), len(recalls) + 3))
        figures: list[list[float | None]] = []
        for place, report in enumerate(reports):
            values = [report.figure(direction, metric) for metric in recalls]
            of_direction = sum(value or 0.0 for value in values)
            totals[place] += of_direction
            figures.append([*values, of_direction, report.figure(direction, MRR)])
        medians = [number("median_rank", report.figure(direction, "median_rank")) for report in reports]
        for label, texts, median in zip(labels, _texts(figures, comparable), medians, strict=True):
            rows.append([label, *texts, median])
    rows.append(_heading("both directions", len(recalls) + 3))
    for label, texts in zip(labels, _texts([[total] for total in totals], comparable), strict=True):
        rows.append([label, *("" for _ in recalls), *texts, "", ""])
    title = f"Retrieval on {reports[0].data['data']['name']} (recall and MRR in %)"
    return terminal_table(title, [RUN, *map(metric_label, recalls), "sum", "MRR", "median rank"], rows)


def _heading(words: str, num_empty: int) -> list[str | Text]:
    return [Text(words, style="italic"), *[""] * num_empty]


def _texts(rows: Sequence[Sequence[float | None]], comparable: Sequence[bool]) -> list[list[str]]:
    """Figures as percentages, with the best comparable one of each column."""
    best = [best_of(column) for column in zip(*compress(rows, comparable), strict=True)]
    return [
        with_best(row, best) if is_in else list(map(percent, row)) for row, is_in in zip(rows, comparable, strict=True)
    ]


def _num_compared(comparisons: Sequence[Comparison]) -> int:
    return sum(bool(made.differences) for made in comparisons)


def difference_heads(comparisons: Sequence[Comparison]) -> list[str]:
    """Heads of the columns of `difference_cells`."""
    corrected = ["p (Holm)"] if _num_compared(comparisons) > 1 else []
    return ["difference", "95 % interval", "p", *corrected]


def difference_cells(made: Comparison, key: str, comparisons: Sequence[Comparison]) -> list[str]:
    """A difference, its interval and its p-values as texts.

    Args:
        made: a run against the first.
        key: `<direction>/<metric>`.
        comparisons: all that were made.
    """
    found = made.differences[key]
    interval = f"{_points(found.low)} to {_points(found.high)}"
    corrected = [f"{made.p_holm[key]:.4f}"] if _num_compared(comparisons) > 1 else []
    return [_points(found.difference), interval, f"{found.p:.4f}", *corrected]


def _points(difference: float) -> str:
    """Percentage points, with a sign unless it is zero."""
    return f"{100 * difference:+.1f}".replace("-", "−") if difference else "0.0"


def _differences(first: str, comparisons: Sequence[Comparison]) -> Table:
    heads = difference_heads(comparisons)
    rows: list[list[str | Text]] = []
    for made in comparisons:
        if made.differences:
            rows.append(_heading(made.run, len(heads)))
        for key in made.differences:
            direction, _, metric = key.partition("/")
            name = f"  {spoken(direction)} {metric_label(metric)}"
            rows.append([name, *difference_cells(made, key, comparisons)])
    return terminal_table(f"Differences from {first} (percentage points)", [RUN, *heads], rows)


def about_p(comparisons: Sequence[Comparison]) -> str:
    """What the p-values are, in sentences."""
    text = "p: two-sided paired randomisation test; a left item is flipped with all its queries."
    if _num_compared(comparisons) > 1:
        return f"{text} p (Holm) is corrected for the number of runs, each figure by itself."
    return f"{text} Nothing is corrected for looking at several figures."


def comparison_markdown(
    reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison], picture: str
) -> str:
    """The comparison for people who read it in a browser or a repository.

    Args:
        reports, names: of the runs, the first first.
        comparisons: of every further run with the first.
        picture: file name of the plot, beside the text.
    """
    table = paper_table(reports, names, [[], *(made.reasons for made in comparisons)])
    lines = [f"# Comparison with {markdown_text(names[0])}", ""]
    lines += [line for note in told_first(reports, names) for line in (f"> **{markdown_text(note)}**", "")]
    lines += [markdown(table)]
    if any(made.differences for made in comparisons):
        heads = [*difference_heads(comparisons), "left items that differ"]
        lines += ["## Differences", "", f"From {markdown_text(names[0])}, in percentage points.", ""]
        rows = [_row(made, key, comparisons) for made in comparisons for key in made.differences]
        lines += markdown_table(["run", "direction", "figure", *heads], rows, words=range(3))
        lines += ["", about_p(comparisons), ""]
    lines += ["## Recall with 95 % intervals", "", f"![recall of each run in both directions]({picture})", ""]
    lines += ["## Definitions", "", *(f"- **{name}**: {text}" for name, text in DEFINITIONS.items()), ""]
    return "\n".join(lines)


def _row(made: Comparison, key: str, comparisons: Sequence[Comparison]) -> list[str]:
    direction, _, metric = key.partition("/")
    found = made.differences[key]
    counted = f"{found.num_differing:,} of {found.num_items:,}"
    figures = difference_cells(made, key, comparisons)
    return [made.run, spoken(direction), metric_label(metric), *figures, counted]
