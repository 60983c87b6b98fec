"""Put runs side by side: their figures, and how each differs from the first.

fusemix compare REPORT REPORT … [out=FOLDER] [overwrite=true] [wait_sec=SECONDS]

Reads report.json and queries.jsonl of each report; writes compare.md, compare.json, compare.png and compare.svg to out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import RenderableType

from fusemix.config.checks import MOST_WAIT
from fusemix.errors import ConfigError
from fusemix.files import write_json, write_text
from fusemix.locks import one_writer
from fusemix.progress import console, counting
from fusemix.ranges import within
from fusemix.retrieval.reports.comparison_picture import draw_comparison
from fusemix.retrieval.reports.comparison_tables import comparison_markdown, comparison_parts
from fusemix.retrieval.reports.reading import Report, read_queries, read_reports, run_names
from fusemix.retrieval.reports.side_by_side import (
    COMPARISON,
    Comparison,
    compare_runs,
    compared,
    compared_in,
    comparison_data,
)
from fusemix.retrieval.reports.standing import identity_of, place_for, shown_at_least

OUT = "reports/comparison"
WIDTH = 100
"""Columns that need not be exceeded; 80 will do."""


def main(argv: Sequence[str]) -> Path:
    """Compare every run with the first; returns compare.json."""
    paths, how = _arguments(argv)
    with one_writer(how.out, doing="compare", wait_sec=how.wait_sec):
        return _compare(paths, how.out, how.overwrite)


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
    console.print(f"comparison: {out / 'compare.md'}, {out / 'compare.json'} and {out / 'compare.png'}")
    return out / "compare.json"


def _show(parts: Sequence[RenderableType]) -> None:
    for part in parts:
        console.print(part, width=min(WIDTH, console.width), soft_wrap=False)


def _write(out: Path, reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "compare.json", comparison_data(reports, names, comparisons))
    comparable = [True, *(not made.reasons for made in comparisons)]
    draw_comparison([out / "compare.png", out / "compare.svg"], reports, names, comparable)
    write_text(out / "compare.md", comparison_markdown(reports, names, comparisons, "compare.png"))


class _How(NamedTuple):
    """Where to write, how long to wait for another process that writes there, in seconds, and whether to replace."""

    out: Path = Path(OUT)
    wait_sec: float = 0.0
    overwrite: bool = False


def _arguments(argv: Sequence[str]) -> tuple[list[str], _How]:
    paths, how = [], _How()
    for argument in argv:
        key, equals, value = argument.partition("=")
        if key == "out" and equals:
            if not value:
                raise ConfigError("out= names no folder. Write out=FOLDER, or leave it out.")
            how = how._replace(out=Path(value))
        elif key == "wait_sec" and equals:
            how = how._replace(wait_sec=_seconds(value))
        elif key == "overwrite" and equals:
            how = how._replace(overwrite=_truth(value))
        elif argument.startswith("-") or (equals and not Path(argument).exists()):
            raise ConfigError(
                f"compare has no setting {argument!r}. It takes paths of reports, and out=FOLDER, overwrite=true or "
                "wait_sec=SECONDS."
            )
        else:
            paths.append(argument)
    if len(paths) < 2:
        raise ConfigError("compare needs at least two reports: fusemix compare reports/first reports/second")
    return paths, how


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigError(f"overwrite is {text!r}, but must be true or false.")
    return text == "true"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise ConfigError(f"wait_sec is {text!r}, but must be a number of seconds.") from error
    within("wait_sec", seconds, 0.0, MOST_WAIT)
    return seconds
