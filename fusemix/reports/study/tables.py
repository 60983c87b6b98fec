"""A study for people: table.md, table.csv, and the table that is printed.

Place in the flow: rows -> Markdown, CSV, a table for the terminal.
"""

import csv
import io
from collections.abc import Sequence

from rich.table import Table

from fusemix.reports.study.results import JobResult, Row, Spread
from fusemix.tables import NOTHING, markdown_table, markdown_text, metric_label, number, spoken, terminal_table


def column_label(column: str) -> str:
    """`image_to_text/recall_at_1` as people write it.

    >>> column_label("image_to_text/recall_at_1"), column_label("recall_sum")
    ('image to text R@1', 'recall sum')
    """
    direction, _, metric = column.rpartition("/")
    return f"{spoken(direction)} {metric_label(metric)}".strip()


def spread_text(column: str, found: Spread | None) -> str:
    """Mean and standard deviation: recall in percent, ranks as they are."""
    if found is None:
        return NOTHING
    metric = column.rpartition("/")[2]
    if found.sd is None:
        return number(metric, found.mean)
    return f"{number(metric, found.mean)} ± {number(metric, found.sd)}"


def _heads(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    return [*(rows[0].axes if rows else ()), "seeds", *map(column_label, columns)]


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    figures = [spread_text(column, row.figures.get(column)) for column in columns]
    return [*map(str, row.axes.values()), f"{row.num_seeds:,}", *figures]


def terminal_rows(rows: Sequence[Row], columns: Sequence[str], most: int) -> Table:
    """The table for a terminal, with as many columns of figures as there is room for."""
    shown = columns[:most]
    return terminal_table(
        "Means over seeds, ± one standard deviation (recall in %)",
        _heads(rows, shown),
        [_cells(row, shown) for row in rows],
    )


def table_markdown(
    name: str, rows: Sequence[Row], columns: Sequence[str], jobs: Sequence[JobResult], picture: str | None
) -> str:
    """The study for people who read it in a browser or a repository.

    Args:
        name: of the study.
        rows, columns: of figures.
        jobs: all of them; those that are not done are named.
        picture: file name of the plot, beside the text; None where there is none.
    """
    num_axes = len(rows[0].axes) if rows else 0
    lines = [f"# {markdown_text(name)}", ""]
    lines += markdown_table(_heads(rows, columns), [_cells(row, columns) for row in rows], words=range(num_axes))
    lines += ["", "Mean over seeds ± standard deviation of one seed (n - 1); recall in %.", ""]
    if picture:
        lines += [f"![figures of the study]({picture})", ""]
    states = {state: [job for job in jobs if job.state == state] for state in ("to do", "failed", "not run")}
    for state, found in states.items():
        if found:
            lines += [f"{len(found):,} of {len(jobs):,} jobs: {state}.", ""]
            lines += [
                f"- {markdown_text(job_name(job))}{f': {markdown_text(job.error)}' if job.error else ''}"
                for job in found
            ]
            lines += [""]
    return "\n".join(lines)


def job_name(job: JobResult) -> str:
    """`size=100, seed=0`."""
    return ", ".join(f"{axis}={value}" for axis, value in job.axes.items()) or "the only job"


def table_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The same for programs: figures as fractions, mean and sd in columns of their own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [head for column in columns for head in (f"{column} mean", f"{column} sd")]
    writer.writerow([*(rows[0].axes if rows else ()), "seeds", *heads])
    for row in rows:
        cells: list[object] = []
        for column in columns:
            found = row.figures.get(column)
            cells += [None, None] if found is None else [found.mean, found.sd]
        writer.writerow([*row.axes.values(), row.num_seeds, *cells])
    return text.getvalue()
