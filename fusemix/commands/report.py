"""Print reports as one table for a paper.

fusemix report [--format latex|markdown] REPORT …

Reads report.json files; prints the table and nothing else, so that it can be redirected into a file.
"""

import sys

from fusemix.config import ReportConfig
from fusemix.reports.comparison.paper_tables import latex, markdown, paper_table
from fusemix.reports.comparison.side_by_side import reasons_against
from fusemix.reports.reading import read_reports, run_names

FORMATS = {"markdown": markdown, "latex": latex}


def main(config: ReportConfig) -> None:
    """Print one row a report."""
    reports = read_reports(config.reports)
    reasons = [reasons_against(reports[0], report) for report in reports]
    sys.stdout.write(FORMATS[config.format](paper_table(reports, run_names(reports), reasons)))
