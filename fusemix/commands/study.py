"""Run a grid of jobs that cache, select, train and evaluate, and put their figures side by side.

    fusemix study CONFIG [key=value …]

Writes study.json, a folder for each task, and results.json, table.md, table.csv, study.png and study.svg to <out>. Any
number of processes may be given the same command: they share what is to be done. A study that was killed goes on when
the same command is given again.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusemix.config import StudyConfig
from fusemix.disk.files import write_json, write_text
from fusemix.disk.out_folder import require_writable, resolved
from fusemix.errors import FusemixError
from fusemix.progress import console, counting, duration
from fusemix.reports.study.picture import draw_study
from fusemix.reports.study.results import columns_of, results_data, rows_of
from fusemix.reports.study.tables import table_csv, table_markdown, terminal_rows
from fusemix.tables import NOTHING, terminal_table
from fusemix.wiring.studying.folder import BRIEF_SEC, STUDY, Places, begin, forget_failures, moment, require_same
from fusemix.wiring.studying.grid import grid_of
from fusemix.wiring.studying.outcome import Figures, Left, failed_error, left_of, results_of, untimed
from fusemix.wiring.studying.running import look, run_tasks
from fusemix.wiring.studying.tasks import OWN_SETTINGS, Grid, Reader, Said, Task, placed

PICTURES = ("study.png", "study.svg")
WIDTH, COLUMN_WIDTH = 100, 18
"""Of the terminal, and of a column of figures."""
MOST_TRIED = 4
"""Tasks of a stage of which none is done that are timed by a few items or steps."""


def main(config: StudyConfig, settings_for: Reader) -> Path:
    """Run what is left of a study; returns results.json, which a dry run does not write.

    Args:
        config: of the study.
        settings_for: reads and checks the settings of a command.

    Raises:
        StudyError: jobs have failed; the others are done.
    """
    places = Places(Path(config.out))
    if config.dry_run:
        return _rehearse(config, settings_for, places)
    grid = grid_of(config, settings_for)
    with moment(places.out, config.wait_sec):
        begin(config)
        if config.retry_failed:
            forget_failures(places.out, grid.tasks.values())
    console.print(f"{len(grid.jobs):,} jobs, of {len(grid.tasks):,} tasks")
    figures: Figures = {}

    def after(task: Task) -> None:  # what is known so far is written whenever something new was measured
        if task.stage == "evaluate":
            _report(config, grid, places, figures, is_drawn=False)

    with counting("study", len(grid.tasks)) as advance:
        now = run_tasks(grid, places, advance, console.print, after)
    lost = _report(config, grid, places, figures, is_drawn=True)
    _show(config, grid, places, figures)
    if lost:
        console.print(lost)
    console.print(f"study: {places.out / 'table.md'}, table.csv, results.json, {', '.join(PICTURES)}")
    if now.failed:
        raise failed_error(grid, places, now)
    return places.out / "results.json"


def _report(config: StudyConfig, grid: Grid, places: Places, figures: Figures, *, is_drawn: bool) -> str:
    """Write the results; returns what there is to say of the picture."""
    with moment(places.out, BRIEF_SEC):
        jobs = results_of(grid, places, figures)
        columns = columns_of(config.measures, [job.figures for job in jobs])
        rows = rows_of(jobs, config.seeds, columns)
        measured = [row for row in rows if row.figures]
        lost = ""
        if is_drawn and measured:
            lost = draw_study([places.out / name for name in PICTURES], measured, columns, config.x)
        picture = PICTURES[0] if (places.out / PICTURES[0]).is_file() else None
        write_text(places.out / "table.csv", table_csv(rows, columns))
        write_text(places.out / "table.md", table_markdown(places.out.resolve().name, rows, columns, jobs, picture))
        write_json(places.out / "results.json", results_data(jobs, rows, config.seeds, config.measures))
    return lost


def _show(config: StudyConfig, grid: Grid, places: Places, figures: Figures) -> None:
    jobs = results_of(grid, places, figures)
    columns = columns_of(config.measures, [job.figures for job in jobs])
    rows = rows_of(jobs, config.seeds, columns)
    width = min(WIDTH, console.width)
    if columns:
        room = width - 14 * (len(rows[0].axes) + 1)
        console.print(terminal_rows(rows, columns, max(1, room // COLUMN_WIDTH)), width=width, soft_wrap=False)


def _rehearse(config: StudyConfig, settings_for: Reader, places: Places) -> Path:
    """Say what is done, what is to do, and how long that takes; nothing is written."""
    grid = grid_of(config, settings_for)
    for path in require_writable(resolved(places.out)):
        path.rmdir()
    if STUDY.is_sealed(places.out) and not config.overwrite:
        require_same(config)
    now = look(grid, places)
    seconds = {task: took for task in now.done if (took := places.seconds(task)) is not None}
    left = left_of(grid, now, seconds, _estimated(untimed(grid, now, seconds, MOST_TRIED), settings_for, places))
    table = terminal_table(
        f"{len(grid.jobs):,} jobs, of {len(grid.tasks):,} tasks",
        ["stage", "tasks", "done", "failed", "to do", "takes about"],
        [[one.stage, *(f"{n:,}" for n in (one.total, one.done, one.failed, one.left)), _about(one)] for one in left],
    )
    console.print(table, width=min(WIDTH, console.width), soft_wrap=False)
    console.print(_total(left))
    for name in now.failed:
        console.print(f"failed: {name}, of {'; '.join(job.name for job in grid.jobs_with(name))}")
    for job in grid.jobs:
        console.print(f"  {job.name}: {', '.join(job.tasks.values())}")
    console.print(f"dry run: nothing was written to {places.out}")
    return places.out / "results.json"


def _estimated(tasks: Sequence[Task], settings_for: Reader, places: Places) -> dict[str, float]:
    """Seconds of tasks that can be told of before they are run: by a few items or steps of each."""
    found = {}
    for task in tasks:
        settings = placed(task.settings, lambda name: str(places.output(name)))
        said = Said(task.name, {key: value for key, value in settings.items() if key not in OWN_SETTINGS})
        with suppress(FusemixError):  # the task itself will say it
            took = _seconds_of(task.stage, settings_for(task.command, [], [said], {}).config)
            if took is not None:
                found[task.name] = took
    return found


def _seconds_of(stage: str, config: Any) -> float | None:
    if stage == "cache":
        from fusemix.wiring.caching.estimate import seconds_of_caching  # a study itself does without torch

        return seconds_of_caching(config)
    if stage == "train":
        from fusemix.wiring.training.estimate import seconds_of_run

        return seconds_of_run(config)
    return None


def _about(left: Left) -> str:
    if not left.left:
        return NOTHING
    return duration(left.seconds) if left.known else "not known yet"


def _total(left: Sequence[Left]) -> str:
    unknown = [one.stage for one in left if one.left > one.known]
    known = sum(one.seconds for one in left)
    text = f"what is left takes about {duration(known)} in one process, by what has been done here" if known else ""
    if not unknown:
        return text or "nothing is left to do"
    rest = f"of {', '.join(unknown)} nothing is known before the first one has run"
    return f"{text}; {rest}" if text else rest
