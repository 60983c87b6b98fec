"""Put runs side by side: their figures, and how each differs from the first.

fusemix compare REPORT REPORT … [out=FOLDER] [wait_sec=SECONDS]

Reads report.json and queries.jsonl of each report; writes compare.html, compare.md, compare.json,
compare.png and compare.svg to out.
"""

from collections.abc import Sequence
from pathlib import Path

from fusemix.config import CompareConfig, load_config
from fusemix.discarding import require_free
from fusemix.files import write_json, write_text
from fusemix.locks import one_writer
from fusemix.progress import console, counting
from fusemix.retrieval.reports.comparison_picture import draw_comparison
from fusemix.retrieval.reports.comparison_tables import comparison_markdown, comparison_parts
from fusemix.retrieval.reports.page.comparison import render_comparison
from fusemix.retrieval.reports.reading import read_queries, read_reports, run_names
from fusemix.retrieval.reports.side_by_side import COMPARISON, compare_runs, comparison_data

WIDTH = 100
"""Columns that need not be exceeded; 80 will do."""


def main(argv: Sequence[str]) -> Path:
    """Compare every run with the first; returns compare.json."""
    config = load_config(CompareConfig, argv)
    with one_writer(config.out, doing="compare", wait_sec=config.wait_sec):
        return _compare(config.reports, Path(config.out))


def _compare(paths: Sequence[str], out: Path) -> Path:
    require_free(out, COMPARISON)
    reports = read_reports(paths)
    names = run_names(reports)
    with counting("comparing", len(reports) - 1) as advance:
        comparisons = compare_runs(reports, names, read_queries, advance)
    for part in comparison_parts(reports, names, comparisons):
        console.print(part, width=min(WIDTH, console.width), soft_wrap=False)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "compare.json", comparison_data(reports, names, comparisons))
    comparable = [True, *(not made.reasons for made in comparisons)]
    if lost := draw_comparison([out / "compare.png", out / "compare.svg"], reports, names, comparable):
        console.print(lost)
    write_text(out / "compare.md", comparison_markdown(reports, names, comparisons, "compare.png"))
    write_text(out / "compare.html", render_comparison(reports, names, comparisons))
    console.print(f"comparison: {out / 'compare.html'} (open it in a browser), compare.md, compare.json, compare.png")
    return out / "compare.json"
