"""A comparison for people: tables for a terminal of 100 columns, and compare.md.

Place in the flow: reports and Comparisons -> rich tables, markdown.
"""

from collections.abc import Iterator, Sequence
from itertools import compress

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fusemix.markdown import escaped
from fusemix.reports.comparison.paper_tables import (
    DAGGER,
    best_of,
    markdown_table,
    measured,
    paper_table,
    shown,
)
from fusemix.reports.comparison.side_by_side import DEFINITIONS, MRR, Comparison
from fusemix.reports.reading import RECALL, Report, common_ks
from fusemix.reports.schema import seen_notes, spoken

NAME_WIDTH = 34
"""Columns after which a run's name goes on in the next line."""


def comparison_parts(
    reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison]
) -> Iterator[RenderableType]:
    """What `fusemix compare` prints: all figures, the differences, and what cannot be compared.

    Args:
        reports, names: of the runs, the first first.
        comparisons: of every further run with the first.
    """
    yield from (Text(note, style="yellow") for note in seen_by(reports, names))
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


def seen_by(reports: Sequence[Report], names: Sequence[str]) -> list[str]:
    """What has to be said first: whose figures are of items that were learned from."""
    return [f"{name}: {note}" for name, report in zip(names, reports, strict=True) for note in seen_notes(report.data)]


def _figures(reports: Sequence[Report], names: Sequence[str], comparable: Sequence[bool]) -> Table:
    recalls = [f"{RECALL}{k}" for k in common_ks(reports)]
    table = _table(f"Retrieval on {reports[0].data['data']['name']} (recall and MRR in %)")
    table.add_column("run", max_width=NAME_WIDTH, overflow="fold")
    for head in [*map(figure_name, recalls), "sum", "MRR", "median rank"]:
        table.add_column(head, justify="right", no_wrap=True)
    labels = [f"  {name}" if is_in else f"  {name} {DAGGER}" for name, is_in in zip(names, comparable, strict=True)]
    totals = [0.0 for _ in reports]
    for direction in reports[0].directions:
        table.add_row(Text(spoken(direction), style="italic"))
        rows: list[list[float | None]] = []
        for place, report in enumerate(reports):
            values = [report.figure(direction, metric) for metric in recalls]
            of_direction = sum(value or 0.0 for value in values)
            totals[place] += of_direction
            rows.append([*values, of_direction, report.figure(direction, MRR)])
        medians = [report.figure(direction, "median_rank") for report in reports]
        for label, texts, median in zip(labels, _texts(rows, comparable), medians, strict=True):
            table.add_row(label, *texts, "–" if median is None else f"{median:g}")
    table.add_row(Text("both directions", style="italic"))
    for label, texts in zip(labels, _texts([[total] for total in totals], comparable), strict=True):
        table.add_row(label, *("" for _ in recalls), *texts)
    return table


def _texts(rows: Sequence[Sequence[float | None]], comparable: Sequence[bool]) -> list[list[Text]]:
    """Figures as percentages, the best comparable one of each column bold."""
    best = [best_of(column) for column in zip(*compress(rows, comparable), strict=True)]
    return [
        [Text(shown(v), style="bold" if is_in and shown(v) == top else "") for v, top in zip(row, best, strict=True)]
        for row, is_in in zip(rows, comparable, strict=True)
    ]


def figure_name(metric: str) -> str:
    """`recall_at_5` as people write it."""
    return "MRR" if metric == MRR else f"R@{metric.removeprefix(RECALL)}"


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
    """Percentage points, with a sign unless it is nought."""
    return f"{100 * difference:+.1f}".replace("-", "−") if difference else "0.0"


def _differences(first: str, comparisons: Sequence[Comparison]) -> Table:
    table = _table(f"Differences from {first} (percentage points)")
    table.add_column("run", max_width=NAME_WIDTH, overflow="fold")
    for head in difference_heads(comparisons):
        table.add_column(head, justify="right", no_wrap=True)
    for made in comparisons:
        if made.differences:
            table.add_row(Text(made.run, style="italic"))
        for key in made.differences:
            direction, _, metric = key.partition("/")
            table.add_row(f"  {spoken(direction)} {figure_name(metric)}", *difference_cells(made, key, comparisons))
    return table


def about_p(comparisons: Sequence[Comparison]) -> str:
    """What the p-values are, in sentences."""
    text = "p: two-sided paired randomisation test; a left item is flipped with all its queries."
    if _num_compared(comparisons) > 1:
        return f"{text} p (Holm) is corrected for the number of runs, each figure by itself."
    return f"{text} Nothing is corrected for looking at several figures."


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)


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
    lines = [f"# Comparison with {escaped(names[0])}", ""]
    lines += [line for note in seen_by(reports, names) for line in (f"> **{escaped(note)}**", "")]
    lines += [markdown_table(table)]
    if any(made.differences for made in comparisons):
        heads = [*difference_heads(comparisons), "left items that differ"]
        lines += ["## Differences", "", f"From {escaped(names[0])}, in percentage points.", ""]
        lines += [
            "| run | direction | figure | " + " | ".join(heads) + " |",
            "|---|---|---" + "|---:" * len(heads) + "|",
        ]
        lines += [_line(made, key, comparisons) for made in comparisons for key in made.differences]
        lines += ["", about_p(comparisons), ""]
    lines += ["## Recall with 95 % intervals", "", f"![recall of each run in both directions]({picture})", ""]
    lines += ["## Definitions", "", *(f"- **{name}**: {text}" for name, text in DEFINITIONS.items()), ""]
    return "\n".join(lines)


def _line(made: Comparison, key: str, comparisons: Sequence[Comparison]) -> str:
    direction, _, metric = key.partition("/")
    found = made.differences[key]
    differing = f"{found.num_differing:,} of {found.num_items:,}"
    cells = [
        escaped(made.run),
        spoken(direction),
        figure_name(metric),
        *difference_cells(made, key, comparisons),
        differing,
    ]
    return "| " + " | ".join(cells) + " |"
