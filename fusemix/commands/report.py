"""Print reports as one table for a paper.

fusemix report [--format latex|markdown] REPORT …

Reads report.json files; prints the table and nothing else, so that it can be redirected into a file.
"""

import sys
from collections.abc import Sequence

from fusemix.errors import ConfigError
from fusemix.registry import nearest
from fusemix.retrieval.reports.paper_tables import latex_table, markdown_table, paper_table
from fusemix.retrieval.reports.reading import read_reports, run_names
from fusemix.retrieval.reports.side_by_side import reasons_against
from fusemix.visible import visible

FORMATS = {"markdown": markdown_table, "latex": latex_table}
"""The first is the default."""


def main(argv: Sequence[str]) -> None:
    """Print one row a report."""
    form, paths = _arguments(argv)
    reports = read_reports(paths)
    reasons = [reasons_against(reports[0], report) for report in reports]
    sys.stdout.write(visible(FORMATS[form](paper_table(reports, run_names(reports), reasons))))


def _arguments(argv: Sequence[str]) -> tuple[str, list[str]]:
    form, paths = next(iter(FORMATS)), []
    left = list(argv)
    while left:
        option, equals, value = left.pop(0).partition("=")
        if option == "--format":
            if not equals:
                value = left.pop(0) if left else ""
            if value not in FORMATS:
                near = nearest(value, list(FORMATS))
                raise ConfigError(f"there is no format {value!r}.{near} Known: {', '.join(FORMATS)}.")
            form = value
        elif option.startswith("-"):
            raise ConfigError(
                f"report has no option {option!r}.{nearest(option, ['--format'])} It takes --format alone."
            )
        else:
            paths.append(f"{option}{equals}{value}")
    if not paths:
        raise ConfigError("report needs at least one report: fusemix report --format latex reports/glyphs")
    return form, paths
