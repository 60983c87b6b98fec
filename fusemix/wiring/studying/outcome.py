"""What has come of a study's jobs: their figures, seconds and failures, read from its folder.

Place in the flow: Grid and study folder -> JobResult of each job -> reports/study/. Estimates of what is left, too.
"""

import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from fusemix.config.studying import STAGES
from fusemix.errors import StudyError
from fusemix.reports.reading import read_report
from fusemix.reports.study.results import JobResult, figures_of
from fusemix.wiring.studying.folder import Places
from fusemix.wiring.studying.running import Standing, look
from fusemix.wiring.studying.tasks import Grid, Job, Task

SHOWN = 5


Figures = dict[str, Mapping[str, float]]
"""Name of a task that has measured -> its figures, which stay as they are."""


def results_of(grid: Grid, places: Places, figures: Figures) -> list[JobResult]:
    """What has come of each job so far.

    Args:
        grid, places: of the study.
        figures: that were read already; those of other tasks are added.
    """
    now = look(grid, places)
    done, failed, blocked = set(now.done), set(now.failed), set(now.blocked)
    for name in {job.tasks["evaluate"] for job in grid.jobs if "evaluate" in job.tasks} & done - figures.keys():
        figures[name] = figures_of(read_report(places.output(name)))
    found = []
    for job in grid.jobs:
        tasks = set(job.tasks.values())
        lost = [task for task in job.tasks.values() if task in failed]
        state = "failed" if lost else "not run" if tasks & blocked else "done" if tasks <= done else "to do"
        seconds = {stage: took for stage, task in job.tasks.items() if (took := places.seconds(task)) is not None}
        folders = {stage: f"{task}/{places.output(task).name}" for stage, task in job.tasks.items()}
        failure = places.failure(lost[0]) if lost else None
        error = None if failure is None else f"{lost[0]}: {failure.error}"
        of_job = figures.get(job.tasks.get("evaluate", ""), {})
        found.append(JobResult(job.axes, state, of_job, seconds, folders, error))
    return found


def failed_error(grid: Grid, places: Places, now: Standing) -> StudyError:
    """One message that names what has failed, and where its log lies."""
    lines = []
    for name in now.failed[:SHOWN]:
        failure, jobs = places.failure(name), grid.jobs_with(name)
        assert failure is not None, "it is one of those that have failed"
        lines.append(f"{_jobs_text(jobs)}: {failure.error} Log: {failure.log}")
    if len(now.failed) > SHOWN:
        lines.append(f"and {len(now.failed) - SHOWN:,} more, which results.json names")
    lost = {job.name for name in (*now.failed, *now.blocked) for job in grid.jobs_with(name)}
    text = "\n  ".join(lines)
    return StudyError(
        f"{len(lost):,} of {len(grid.jobs):,} jobs have failed; the others are done.\n  {text}\n"
        "Mend that, and give the same command again with retry_failed=true."
    )


def _jobs_text(jobs: Sequence[Job]) -> str:
    shown = "; ".join(job.name for job in jobs[:SHOWN])
    return f"{shown}; and {len(jobs) - SHOWN:,} more" if len(jobs) > SHOWN else shown


class Left(NamedTuple):
    """What is left of one stage.

    Attributes:
        stage, total, done, failed: of its tasks.
        seconds: that what is left takes, for as many tasks as `known`.
        known: of those that are left, how many can be told of.
    """

    stage: str
    total: int
    done: int
    failed: int
    seconds: float
    known: int

    @property
    def left(self) -> int:
        """How many are to be done."""
        return self.total - self.done - self.failed


def untimed(grid: Grid, now: Standing, seconds: Mapping[str, float], most: int) -> list[Task]:
    """Tasks that can be run now, of stages of which none is done: at most some of each stage, spread over the grid."""
    found = []
    for stage in STAGES:
        if any(grid.tasks[name].stage == stage for name in seconds):
            continue
        ready = [name for name in now.ready if grid.tasks[name].stage == stage]
        places = sorted({round(at * (len(ready) - 1) / max(1, most - 1)) for at in range(most)} if ready else ())
        found += [grid.tasks[ready[place]] for place in places]
    return found


def left_of(
    grid: Grid, now: Standing, seconds: Mapping[str, float], estimated: Mapping[str, float] = MappingProxyType({})
) -> list[Left]:
    """What is left of each stage, and how long it takes by what has been done of the same stage, or was estimated.

    A task takes as long as, on average, those that are known and have most values of axes in common with it.

    Args:
        grid, now: of the study.
        seconds: name of a task that is done -> how long it took.
        estimated: name of a task that is not -> how long it would take.
    """
    found, axes = [], {name: _axes_of(name, grid) for name in grid.tasks}
    for stage in STAGES:
        names = [name for name, task in grid.tasks.items() if task.stage == stage]
        done = [name for name in names if name in seconds]
        known = seconds if done else estimated
        failed = [name for name in names if name in now.failed or name in now.blocked]
        left = [name for name in names if name not in done and name not in failed]
        of = [name for name in names if name in known]
        about = [_like(name, of, axes, known) for name in left] if of else []
        if names:
            found.append(Left(stage, len(names), len(done), len(failed), sum(about), len(about)))
    return found


def _like(
    task: str, done: Sequence[str], axes: Mapping[str, set[tuple[str, str]]], seconds: Mapping[str, float]
) -> float:
    common = {other: len(axes[task] & axes[other]) for other in done}
    most = max(common.values())
    return statistics.fmean(seconds[other] for other in done if common[other] == most)


def _axes_of(task: str, grid: Grid) -> set[tuple[str, str]]:
    """Values of axes that all jobs of a task have in common."""
    jobs = grid.jobs_with(task)
    return set.intersection(*({(axis, str(value)) for axis, value in job.axes.items()} for job in jobs))
