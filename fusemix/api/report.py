"""A report of retrieval, as Python and notebooks see it.

Place in the flow: report folder of eval_retrieval -> Report: figures, a table, a picture.
Not here: how reports are read and compared (reports/reading.py), and how they are written (reports/retrieval/).
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from fusemix.api.showing import Picture, as_html, as_text, frame
from fusemix.reports import reading
from fusemix.reports.retrieval.report import tables

EXAMPLES = "examples.png"


class Report(reading.Report):
    """What was measured; it prints as the table of the terminal, and shows itself in a notebook.

    Attributes:
        folder: that holds it: report.html, report.json, report.md, queries.jsonl.
        data: content of report.json.
    """

    @property
    def metrics(self) -> dict[str, float]:
        """Figures by direction and name, such as `text_to_image/recall_at_1`; recalls are fractions in [0, 1]."""
        return dict(self.data["metrics"])

    def to_pandas(self) -> Any:
        """A DataFrame of all figures by name, each with its 95 % interval and what a random order gives.

        Raises:
            ConfigError: pandas is not installed.
        """
        intervals, chance = self.data.get("intervals", {}), self.data.get("chance", {})
        low, high = ([intervals.get(name, (None, None))[which] for name in self.metrics] for which in (0, 1))
        columns = {
            "metric": list(self.metrics),
            "value": list(self.metrics.values()),
            "low": low,
            "high": high,
            "by_chance": [chance.get(name) for name in self.metrics],
        }
        return frame(columns, index="metric")

    @cached_property
    def picture(self) -> Picture | None:
        """The best, typical and worst queries with what they found; None where items could not be shown."""
        path = self.folder / EXAMPLES
        return Picture(path.read_bytes()) if path.is_file() else None

    def kept(self) -> "Report":
        """Itself, with all that it shows in memory, so that its folder may go."""
        _ = self.picture
        return self

    def _parts(self) -> list[Any]:
        return [*reading.seen_notes(self.data), *tables(self.data)]

    def __repr__(self) -> str:
        return as_text(*self._parts())

    def _repr_html_(self) -> str:
        return as_html(*self._parts()) + (self.picture.html() if self.picture else "")


def read_report(path: Path) -> Report:
    """Read a report back, as `eval_retrieval` returned it.

    Args:
        path: of the report folder, or of its report.json.

    Raises:
        RunError: nothing is there, or it is no report, or damaged.
    """
    found = reading.read_report(path)
    return Report(found.folder, found.data)
