"""Results of a study as data: figures of each job, and their means and spreads over seeds.

Place in the flow: reports of jobs -> JobResult -> rows of one point of the grid each -> tables.py, picture.py,
results.json.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fusemix.reports.reading import Report

FORMAT, VERSION = "fusemix.study_results", 1
RECALL = "recall"
"""Stands for recall at each depth."""
DEFINITIONS = {
    "mean": "Mean over the seeds of a point of the grid whose jobs are done.",
    "sd": "Standard deviation of one seed, from the sample: the square root of the sum of squares over n - 1; null of "
    "a single one.",
    "seconds": "Of the attempt that finished a task, start and imports included; tasks are shared by jobs.",
}


class JobResult(NamedTuple):
    """What has come of one job.

    Attributes:
        axes: name of each axis -> value or case.
        state: done, to do, failed, or not run, since what it reads has failed.
        figures: of its report, as fractions; none where there is no report.
        seconds: stage -> how long its task took.
        folders: stage -> what its task has written, relative to the study folder.
        error: what failed, and what was said last; None where nothing has.
    """

    axes: Mapping[str, Any]
    state: str
    figures: Mapping[str, float]
    seconds: Mapping[str, float]
    folders: Mapping[str, str]
    error: str | None = None


class Spread(NamedTuple):
    """A figure over seeds: mean, and standard deviation of one seed, None of a single one."""

    mean: float
    sd: float | None


class Row(NamedTuple):
    """One point of the grid, over its seeds.

    Attributes:
        axes: name of each axis but that of seeds -> value or case.
        num_seeds: whose jobs are done.
        figures: column -> spread; columns without a figure are left out.
    """

    axes: Mapping[str, Any]
    num_seeds: int
    figures: Mapping[str, Spread]


def figures_of(report: Report) -> dict[str, float]:
    """All figures of a report."""
    return {key: float(value) for key, value in report.data["metrics"].items()}


def columns_of(measures: Sequence[str], figures: Sequence[Mapping[str, float]]) -> list[str]:
    """Columns that measures stand for, in order.

    Args:
        measures: names of figures, of both directions or of one, `image_to_text/recall_at_1`.
        figures: of all jobs.
    """
    known = list(dict.fromkeys(key for one in figures for key in one))
    depths = sorted({int(key.rpartition("_at_")[2]) for key in known if "/recall_at_" in key})
    named = [one for name in measures for one in ([f"recall_at_{k}" for k in depths] if name == RECALL else [name])]
    found = [key for name in named for key in known if key == name or key.rpartition("/")[2] == name]
    return list(dict.fromkeys(found))


def rows_of(jobs: Sequence[JobResult], seeds: str, columns: Sequence[str]) -> list[Row]:
    """One row for each point of the grid, in the order of jobs.

    Args:
        jobs: all of the study.
        seeds: axis over which means are taken; it need not be there.
        columns: of figures.
    """
    groups: dict[tuple[tuple[str, str], ...], list[JobResult]] = {}
    for job in jobs:
        key = tuple((axis, repr(value)) for axis, value in job.axes.items() if axis != seeds)
        groups.setdefault(key, []).append(job)
    rows = []
    for group in groups.values():
        axes = {axis: value for axis, value in group[0].axes.items() if axis != seeds}
        measured = [job.figures for job in group if job.figures]
        values = {column: [one[column] for one in measured if column in one] for column in columns}
        rows.append(Row(axes, len(measured), {column: spread(found) for column, found in values.items() if found}))
    return rows


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation.

    >>> spread([1.0, 3.0]).mean
    2.0
    """
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def results_data(jobs: Sequence[JobResult], rows: Sequence[Row], seeds: str, measures: Sequence[str]) -> dict[str, Any]:
    """Everything, as plain data for results.json."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "seeds": seeds,
        "measures": list(measures),
        "jobs": [
            {
                "axes": dict(job.axes),
                "state": job.state,
                "figures": dict(job.figures),
                "seconds": dict(job.seconds),
                "folders": dict(job.folders),
                **({"error": job.error} if job.error else {}),
            }
            for job in jobs
        ],
        "points": [
            {
                "axes": dict(row.axes),
                "num_seeds": row.num_seeds,
                "figures": {column: found._asdict() for column, found in row.figures.items()},
            }
            for row in rows
        ],
        "definitions": DEFINITIONS,
    }


def results_in(data: Mapping[str, Any]) -> list[JobResult]:
    """The jobs out of results.json."""
    return [
        JobResult(job["axes"], job["state"], job["figures"], job["seconds"], job["folders"], job.get("error"))
        for job in data["jobs"]
    ]
