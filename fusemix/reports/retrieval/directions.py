"""Every direction of several reports, in one table.

Place in the flow: reports of one command -> directions.json, directions.md and a table on the screen.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from fusemix.reports.retrieval.report import result_header, result_rows, styled
from fusemix.tables import markdown_table, markdown_text, terminal_table

FORMAT, VERSION = "fusemix.directions", 1
TITLE = "Every direction (recall in %, ranks from 1)"
Reports = Mapping[str, Mapping[str, Any]]
"""Folder of each report, relative to that of all -> content of its report.json."""


def directions_data(reports: Reports) -> dict[str, Any]:
    """What of each report belongs to the table, as plain data."""
    wanted = ("metrics", "intervals", "chance", "counts")
    parts = {
        name: {"data": report["data"]["name"], **{key: report[key] for key in wanted}}
        for name, report in reports.items()
    }
    return {"format": FORMAT, "version": VERSION, "reports": parts}


def directions_table(reports: Reports) -> Table:
    """For the terminal."""
    return terminal_table(TITLE, result_header(_first(reports)), list(_rows(reports)), style=styled, is_tight=True)


def directions_markdown(reports: Reports) -> str:
    """For people who read it in a browser or a repository."""
    links = [
        f"- [{name}]({name}/report.md): {markdown_text(report['data']['name'])}" for name, report in reports.items()
    ]
    table = markdown_table(result_header(_first(reports)), list(_rows(reports)))
    about = "Recall in percent; median and mean of the rank of the first hit, counted from 1."
    return "\n".join(["# Every direction", "", about, "", *table, "", *links, ""])


def _rows(reports: Reports) -> Iterator[list[str]]:
    for report in reports.values():
        yield from result_rows(report)


def _first(reports: Reports) -> Mapping[str, Any]:
    return next(iter(reports.values()))
