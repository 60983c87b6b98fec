"""Run what is left of a study's tasks, each once, beside other processes that do the same.

Place in the flow: Grid, and what lies in the study folder -> one task after the other, until none is left.

A process takes a task by its lock, and passes over those that others hold; what a killed one held is taken over, and
the task's own command goes on from what is there. Each is a process of its own, so that one that fails, or is killed
for memory, takes nothing with it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import yaml

from fusemix.disk.files import write_json, write_text
from fusemix.disk.locks import one_writer
from fusemix.disk.out_folder import lock_of, record_of
from fusemix.errors import OutputError
from fusemix.wiring.studying.folder import DONE, FAILED, LOG, SETTINGS, Places
from fusemix.wiring.studying.tasks import Grid, Task, placed

LOOK_AGAIN_SEC = 1.0
"""While others have all that could be done."""
PATIENCE_SEC = 60.0
"""So long a command may take to end in order."""
ORPHAN_SEC = 7 * 86_400
"""So long it waits for one of a killed study that still works on the same."""
TOGETHER = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""What launchers say to processes that are to meet; a command of a study meets nobody."""
LAST_BYTES = 64 << 10
"""Of a log, in which the last line of an error is looked for."""


class Standing(NamedTuple):
    """How the tasks of a study stand.

    Attributes:
        done, failed: names of tasks that are.
        blocked: those that read what has failed, directly or not.
        ready: those that can be run, or are being run.
        later: those that read what is not done yet.
    """

    done: Sequence[str]
    failed: Sequence[str]
    blocked: Sequence[str]
    ready: Sequence[str]
    later: Sequence[str]


def standing(grid: Grid, is_done: Callable[[str], bool], is_failed: Callable[[str], bool]) -> Standing:
    """How tasks stand, by what is known of each.

    Args:
        grid: of the study.
        is_done, is_failed: name of a task -> whether it is; one that is done has not failed.
    """
    kinds: dict[str, str] = {}
    for name, task in grid.tasks.items():
        of_reads = {kinds[read] for read in task.reads}
        if is_done(name):
            kinds[name] = "done"
        elif is_failed(name):
            kinds[name] = "failed"
        elif of_reads & {"failed", "blocked"}:
            kinds[name] = "blocked"
        else:
            kinds[name] = "ready" if of_reads <= {"done"} else "later"
    return Standing(*([name for name, kind in kinds.items() if kind == wanted] for wanted in Standing._fields))


def look(grid: Grid, places: Places) -> Standing:
    """How tasks stand by what lies in the study folder."""
    return standing(
        grid,
        lambda task: (places.of(task) / DONE).is_file(),
        lambda task: (places.of(task) / FAILED).is_file(),
    )


def run_tasks(
    grid: Grid,
    places: Places,
    advance: Callable[[int], None],
    tell: Callable[[str], None],
    after: Callable[[Task], None],
) -> Standing:
    """Run all that can be run; waits while others have what is left.

    Args:
        grid, places: of the study.
        advance: told how many tasks have ended, here or elsewhere.
        tell: told in a line when a task begins and ends here.
        after: told of each task that was done here.
    """
    ended, has_told = 0, False
    tidy(look(grid, places), places)
    while True:
        now = look(grid, places)
        count = len(now.done) + len(now.failed) + len(now.blocked)
        advance(count - ended)
        ended = count
        if not now.ready:
            return now
        if (task := _run_one([grid.tasks[name] for name in now.ready], places, grid, tell)) is not None:
            after(task)
            has_told = False
            continue
        if not has_told:
            tell(f"waiting: other processes have the {len(now.ready):,} tasks that can be done now")
            has_told = True
        time.sleep(LOOK_AGAIN_SEC)


def _run_one(ready: Sequence[Task], places: Places, grid: Grid, tell: Callable[[str], None]) -> Task | None:
    """Run the first task that nobody has; None where others have all of them."""
    # To see whether a holder on another machine lives takes seconds: first those that nobody has said to have.
    for task in sorted(ready, key=lambda task: _is_said_to_be_held(places.of(task.name))):
        folder = places.of(task.name)
        with ExitStack() as stack:
            if not _is_claimed(folder, stack):
                continue
            if not any((folder / file).is_file() for file in (DONE, FAILED)):
                _run(task, places, grid, tell)
            return task
    return None


def tidy(now: Standing, places: Places) -> None:
    """Remove locks of tasks that have ended, which a process was killed with at the last moment."""
    for name in (*now.done, *now.failed):
        if _is_said_to_be_held(places.of(name)):
            with ExitStack() as stack:
                _is_claimed(places.of(name), stack)


def _is_said_to_be_held(folder: Path) -> bool:
    return record_of(lock_of(folder.resolve())).is_file()


def _is_claimed(folder: Path, stack: ExitStack) -> bool:
    """Whether a task is this process's now, until the stack is closed, and nobody else's.

    Raises:
        OutputError: it is nobody's, and its folder cannot be written.
    """
    for is_last in (False, False, True):
        try:
            stack.enter_context(one_writer(folder, doing="study"))
        except OutputError:
            if _is_said_to_be_held(folder):
                return False
            if is_last:
                raise
        else:
            return True
    raise AssertionError("the last attempt returns or raises")


def _run(task: Task, places: Places, grid: Grid, tell: Callable[[str], None]) -> None:
    """Run a task's command, and write down how it ended; nothing is written where this process is ended."""
    folder = places.of(task.name)
    folder.mkdir(parents=True, exist_ok=True)
    settings = placed(task.settings, lambda name: str(places.output(name)))
    settings |= {"out": str(places.output(task.name)), "wait_sec": ORPHAN_SEC}
    write_text(folder / SETTINGS, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    jobs = grid.jobs_with(task.name)
    more = f" and {len(jobs) - 1:,} more" if len(jobs) > 1 else ""
    tell(f"{task.name} begins: {task.command} for {jobs[0].name}{more}")
    began, log = time.monotonic(), folder / LOG
    with log.open("ab") as said:
        start = said.tell()
        code = _ended(_started(task.command, folder / SETTINGS, said))
    seconds = time.monotonic() - began
    if code == 0:
        write_json(folder / DONE, {"command": task.command, "seconds": round(seconds, 3)})
        tell(f"{task.name} is done, in {seconds:,.1f} s")
        return
    error = last_error(log, start, code)
    write_json(folder / FAILED, {"command": task.command, "code": code, "error": error})
    tell(f"{task.name} has failed: {error}")


def _started(command: str, settings: Path, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    package = str(Path(__file__).parents[3])  # the same fusemix as this one, wherever it was imported from
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {name: value for name, value in os.environ.items() if name not in TOGETHER}
    return subprocess.Popen(
        [sys.executable, "-m", "fusemix", command, str(settings)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,  # Ctrl-C reaches this process alone, which ends the command once
    )


def _ended(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a command; what ends this process ends it, too, in order."""
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(PATIENCE_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def last_error(log: Path, start: int, code: int) -> str:
    """What a command has said last, of what it has written into its log from a place on."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - LAST_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    told = [line.removeprefix("fusemix: ") for line in lines if line.startswith("fusemix: ")]
    if code < 0:
        number = -code
        name = signal.Signals(number).name if number in {*signal.Signals} else f"signal {number}"
        return f"it was ended by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return (told or lines or [f"it ended with the code {code} and said nothing"])[-1]
