"""A study, as Python and notebooks see it.

Place in the flow: study folder of `fusemix study` -> Study: its jobs, their figures, a table, a picture.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from fusemix.api.showing import Picture, as_html, as_text, frame
from fusemix.disk.files import read_json
from fusemix.errors import RunError
from fusemix.reports.study.results import FORMAT, VERSION, columns_of, results_in, rows_of
from fusemix.reports.study.tables import terminal_rows

RESULTS, PICTURE = "results.json", "study.png"
MOST_COLUMNS = 4


class Study:
    """A study folder.

    Args:
        folder: of the study.

    Attributes:
        folder: as given.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @cached_property
    def data(self) -> dict[str, Any]:
        """Content of results.json.

        Raises:
            RunError: it is not there, or something else.
        """
        file = self.folder / RESULTS
        if not file.is_file():
            raise RunError(f"there is no {file}. Run the study first: fusemix study CONFIG out={self.folder}")
        data = read_json(file)
        if not isinstance(data, dict) or (data.get("format"), data.get("version")) != (FORMAT, VERSION):
            raise RunError(f"{file} holds no results of a study that this fusemix reads. Give the same command again.")
        return data

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs: `axes`, `state`, `figures` (recalls are fractions in [0, 1]), `seconds` and `folders` by stage."""
        return self.data["jobs"]

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each job: its axes, its state, and the figures of its report.

        Raises:
            ConfigError: pandas is not installed.
        """
        names = list(dict.fromkeys(name for job in self.jobs for name in job["figures"]))
        columns: dict[str, list[Any]] = {
            "job": list(range(len(self.jobs))),
            **{axis: [job["axes"][axis] for job in self.jobs] for axis in (self.jobs[0]["axes"] if self.jobs else ())},
            "state": [job["state"] for job in self.jobs],
            **{name: [job["figures"].get(name) for job in self.jobs] for name in names},
        }
        return frame(columns, index="job")

    @cached_property
    def picture(self) -> Picture | None:
        """The plot; None where nothing was measured."""
        path = self.folder / PICTURE
        return Picture(path.read_bytes()) if path.is_file() else None

    def _table(self) -> Any:
        jobs = results_in(self.data)
        columns = columns_of(self.data["measures"], [job.figures for job in jobs])
        return terminal_rows(rows_of(jobs, self.data["seeds"], columns), columns, MOST_COLUMNS)

    def __repr__(self) -> str:
        if not (self.folder / RESULTS).is_file():
            return f"fusemix.Study({str(self.folder)!r})"
        return as_text(self._table())

    def _repr_html_(self) -> str:
        if not (self.folder / RESULTS).is_file():
            return as_html(repr(self))
        return as_html(self._table()) + (self.picture.html() if self.picture else "")
