"""Put runs side by side: their figures, and how each differs from the first.

fusemix compare REPORT REPORT … [out=FOLDER] [overwrite=true] [wait_sec=SECONDS]

Reads report.json and queries.jsonl of each report; writes compare.html, compare.md, compare.json,
compare.png and compare.svg to out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from fusemix.config import CompareConfig
from fusemix.disk.files import write_json, write_text
from fusemix.disk.locks import one_writer
from fusemix.progress import console, counting
from fusemix.reports.comparison.picture import draw_comparison
from fusemix.reports.comparison.side_by_side import (
    COMPARISON,
    Comparison,
    compare_runs,
    compared,
    compared_in,
    comparison_data,
)
from fusemix.reports.comparison.tables import comparison_markdown, comparison_parts
from fusemix.reports.page.comparison import render_comparison
from fusemix.reports.reading import Report, read_queries, read_reports, run_names
from fusemix.reports.standing import identity_of, place_for, shown_at_least

WIDTH = 100
"""Columns that need not be exceeded; 80 will do."""


def main(config: CompareConfig) -> Path:
    """Compare every run with the first; returns compare.json."""
    with one_writer(config.out, doing="compare", wait_sec=config.wait_sec):
        return _compare(config.reports, Path(config.out), config.overwrite)


def _compare(paths: Sequence[str], out: Path, overwrite: bool) -> Path:
    reports = read_reports(paths)
    names = run_names(reports)
    wanted = compared(names, [identity_of(report.data) for report in reports])
    file: dict[str, Any] = {"file": "compare.json", "identity": compared_in}
    with place_for(out, COMPARISON, wanted, overwrite=overwrite, **file) as place:
        with counting("comparing", len(reports) - 1) as advance:
            comparisons = compare_runs(reports, names, read_queries, advance)
        parts = list(comparison_parts(reports, names, comparisons))
        with shown_at_least(lambda: _show(parts)):
            _write(place, reports, names, comparisons)
    _show(parts)
    console.print(f"comparison: {out / 'compare.html'} (open it in a browser), compare.md, compare.json, compare.png")
    return out / "compare.json"


def _show(parts: Sequence[RenderableType]) -> None:
    for part in parts:
        console.print(part, width=min(WIDTH, console.width), soft_wrap=False)


def _write(out: Path, reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "compare.json", comparison_data(reports, names, comparisons))
    comparable = [True, *(not made.reasons for made in comparisons)]
    if lost := draw_comparison([out / "compare.png", out / "compare.svg"], reports, names, comparable):
        console.print(lost)
    write_text(out / "compare.md", comparison_markdown(reports, names, comparisons, "compare.png"))
    write_text(out / "compare.html", render_comparison(reports, names, comparisons))
