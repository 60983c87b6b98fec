"""The folder of a study: whose it is, and which tasks in it are done.

Place in the flow: OUT/study.json, and for each task OUT/<stage>-<hash>/ with settings.yaml, log.txt, what its command
writes, and done.json or failed.json. What has neither of these two is to be done, whatever else lies there.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.config import StudyConfig, to_plain
from fusemix.config.studying import STAGES
from fusemix.disk.discarding import Owned, clear_discarded, discard, require_free, says
from fusemix.disk.files import differing_fields, read_json, remove_file, told_difference, write_json
from fusemix.disk.holders import this_process
from fusemix.disk.locks import SHARED, Hold, holding, one_writer
from fusemix.disk.out_folder import lock_of, require_writable, resolved
from fusemix.errors import OutputError
from fusemix.fusion.runs import RUN
from fusemix.latents.description import LATENT_SET
from fusemix.latents.subsets import SUBSET
from fusemix.reports.reading import REPORT
from fusemix.wiring.studying.tasks import OUTPUT, Task

FORMAT, VERSION = "fusemix.study", 1
FILE, SETTINGS, LOG, DONE, FAILED = "study.json", "settings.yaml", "log.txt", "done.json", "failed.json"
RESULTS = ("results.json", "table.md", "table.csv", "study.png", "study.svg")
SHOWN_ONLY = ("out", "overwrite", "wait_sec", "dry_run", "retry_failed", "x", "seeds", "measures")
"""Settings that change nothing of what is run."""
BRIEF_SEC = 600.0
"""Other processes of a study hold its folder for moments only."""


def _names() -> Iterator[str]:
    yield from (FILE, *RESULTS)
    within = {
        "cache": [f"*/{name}" for name in LATENT_SET.names],
        "select": SUBSET.names,
        "train": RUN.names,
        "evaluate": REPORT.names,
    }
    for stage in STAGES:
        yield from (f"{stage}-*/{name}" for name in (SETTINGS, LOG, DONE, FAILED))
        yield from (f"{stage}-*/{OUTPUT[stage]}/{name}" for name in within[stage])


STUDY = Owned("a study", lambda folder: says(folder / FILE, FORMAT, VERSION), tuple(_names()))


class Failure(NamedTuple):
    """How a task failed.

    Attributes:
        error: what its command said last.
        code: with which it ended; negative where a signal ended it.
        log: file of all that it said.
    """

    error: str
    code: int
    log: Path


class Places(NamedTuple):
    """Where things lie in a study folder."""

    out: Path

    def of(self, task: str) -> Path:
        """Folder of a task."""
        return self.out / task

    def output(self, task: str) -> Path:
        """The folder that its command writes."""
        return self.of(task) / OUTPUT[task.partition("-")[0]]

    def seconds(self, task: str) -> float | None:
        """How long it took; None where it is not done."""
        file = self.of(task) / DONE
        return float(_said_in(file).get("seconds", 0)) if file.is_file() else None

    def failure(self, task: str) -> Failure | None:
        """How it failed; None where it did not."""
        file = self.of(task) / FAILED
        if not file.is_file():
            return None
        said = _said_in(file)
        return Failure(str(said.get("error", "it is not known how")), int(said.get("code", 1)), self.of(task) / LOG)


def _said_in(file: Path) -> Mapping[str, Any]:
    """What a task's file says; nothing where somebody else has written it."""
    try:
        said = read_json(file)
    except ValueError:
        return {}
    return said if isinstance(said, Mapping) else {}


@contextmanager
def moment(out: Path, wait_sec: float) -> Iterator[None]:
    """Hold a study folder alone, for a moment: waits while other processes of the study have theirs.

    Raises:
        OutputError: another command writes there, or nobody can.
    """
    folder = resolved(out)
    made = require_writable(folder)
    try:
        with holding(Hold(folder, lock_of(folder), this_process(f"study{SHARED}any"), is_brief=True), wait_sec):
            yield
    finally:
        for path in made:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def begin(config: StudyConfig) -> None:
    """Make the folder of a study, or see that it is the one that is there; to be called with the folder held.

    Raises:
        OutputError: another study is there, or files of somebody else.
    """
    out = Path(config.out)
    clear_discarded(out)
    if STUDY.is_sealed(out) and config.overwrite:
        _require_idle(out, config.wait_sec)
        discard(out, STUDY)
    wanted = said_by(config)
    if STUDY.is_sealed(out):
        require_same(config)
    else:
        require_free(out, STUDY)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / FILE, {"format": FORMAT, "version": VERSION, "study": wanted})


def said_by(config: StudyConfig) -> dict[str, Any]:
    """What a study is, as plain data."""
    return {key: value for key, value in to_plain(config).items() if key not in SHOWN_ONLY}


def require_same(config: StudyConfig) -> None:
    """Refuse to go on with a study that was begun with other settings, but for values and cases that are new.

    Raises:
        OutputError: it was.
    """
    out = Path(config.out)
    wanted = said_by(config)
    try:
        found = differing_fields(without_new(read_json(out / FILE)["study"], wanted), wanted)
    except (KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"{out / FILE} is damaged: it does not say what the study is. Choose another out, or discard what is there "
            "with overwrite=true."
        ) from error
    if found:
        lines = "\n  ".join(told_difference(*one) for one in found)
        raise OutputError(
            f"{out} holds a study that differs from this one:\n  {lines}\n"
            "An axis may get more values and cases, and all else stays. Choose another out, or discard what is there "
            "with overwrite=true."
        )


def without_new(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What was recorded, with the values and cases that have come to its axes since."""
    axes = {}
    for name, axis in recorded["axes"].items():
        now = wanted["axes"].get(name, axis)
        grown = dict(axis)
        if all(value in now["values"] for value in axis["values"]) and now["settings"] == axis["settings"]:
            grown["values"] = now["values"]
        if axis["cases"]:
            grown["cases"] = {
                **{key: now["cases"][key] for key in now["cases"].keys() - axis["cases"]},
                **axis["cases"],
            }
        axes[name] = grown
    return {**recorded, "axes": axes}


def _require_idle(out: Path, wait_sec: float) -> None:
    """Refuse to discard a study that others work at, or a command of it; what dead ones have left is taken away."""
    for lock in sorted(path for below in ("", "*/", "*/*/") for path in out.glob(f"{below}.*.lock*")):
        written = lock.name.removesuffix(".json").removesuffix(".lock").removeprefix(".")
        with one_writer(lock.with_name(written), doing="study", wait_sec=wait_sec):
            pass


def forget_failures(out: Path, tasks: Iterable[Task]) -> None:
    """Give tasks that have failed another chance."""
    for task in tasks:
        if (out / task.name / FAILED).is_file():
            remove_file(out / task.name / FAILED)
