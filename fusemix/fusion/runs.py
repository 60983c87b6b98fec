"""A run folder: is there a run to continue, one that is finished, or another one in the way?

Place in the flow: run folder -> the checkpoint to go on from.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.disk.discarding import Owned, beside, clear_discarded, require_free, require_ours, says
from fusemix.disk.files import differences, write_atomic
from fusemix.errors import RunError
from fusemix.fusion.callbacks import knows_a_best, stopped_early
from fusemix.fusion.checkpoints import BEST, CHECKPOINTS, HUBS, LAST, about, is_checkpoint, read_checkpoint

MAY_CHANGE = (
    "out",
    "wait_sec",
    "resume",
    "overwrite",
    "dry_run",
    "recipe",
    "compute",
    *("accelerator", "devices", "num_nodes"),  # as the same was called before
    "compile",
    "train",
    "validation",
    "also",
    "unpaired",
    "init_from",
    "latents_on",
    "logger",
)
"""Settings that may change while a run stays the same; data and weights are told apart by their hashes."""
SAYS_NOTHING = ("decided", "accepted", "ended")
"""Of what a run notes: what it decided and found for itself, and what users hold to be equal to its encoders."""
OF_SCHEDULE = ("max_epochs", "validate_every", "patience", "warmup_steps", "lr", "min_lr")
"""Settings of `optim` that a trained run may be given again, with more epochs."""
NEEDED = ("epoch", "optimizer_states", "lr_schedulers", "loops", "callbacks")
"""Of Lightning's, to go on from a checkpoint."""
PROBE = "can_be_written"
SETTINGS = "config.yaml"
DATA = "data.json"
"""What the run has learned from; see models/learned.py."""
SEAL, FORMAT, VERSION = "environment.json", "fusemix.run", 1


def is_run(folder: Path) -> bool:
    """Whether a folder says that it holds a run; one of an earlier fusemix says so by a checkpoint alone."""
    checkpoints = (folder / CHECKPOINTS / name for name in (BEST, LAST))
    return says(folder / SEAL, FORMAT, VERSION) or any(map(is_checkpoint, checkpoints))


RUN = Owned(
    "a run",
    is_run,
    (
        SEAL,
        SETTINGS,
        "encoders.json",
        DATA,
        "metrics.csv",
        "loggers.json",
        HUBS,
        "tensorboard/events.out.tfevents.*",
        *(f"{CHECKPOINTS}/{name}" for name in (BEST, LAST, PROBE)),
    ),
)


def place_for(out: Path, overwrite: bool) -> Path:
    """Where a run is written: in its folder, or beside one that is there and is to be replaced.

    Raises:
        OutputError: what is there is not a run, or not one alone.
    """
    clear_discarded(out)
    return place_of(out, overwrite)


def place_of(out: Path, overwrite: bool) -> Path:
    """The same, by what is there as it is; see `place_for`."""
    if overwrite and RUN.is_sealed(out):
        require_ours(out, RUN)
        return beside(out)
    require_free(out, RUN)
    return out


class RunState(NamedTuple):
    """How to go on in a run folder.

    Attributes:
        last: the checkpoint to go on from, or None to start.
        epoch: how many are done.
        decided: what the run decided when it was begun, by name; see `build.train.trainer`.
        schedule_from: epochs that were done when its schedule began: more than 0 where a trained run was given more.
        is_longer: it is given more now.
        is_finished: nothing is left to do.
        is_best_lost: there was a best checkpoint, and it cannot be read.
    """

    last: Path | None = None
    epoch: int = 0
    decided: Mapping[str, Any] = {}
    schedule_from: int = 0
    is_longer: bool = False
    is_finished: bool = False
    is_best_lost: bool = False


def state_of_run(
    folder: Path, wanted: Mapping[str, Any], *, max_epochs: int, resume: bool = False, may_be_longer: bool = True
) -> RunState:
    """Find out how to go on in a run folder; nothing is changed.

    Args:
        folder: of the run.
        wanted: what the run is going to be: settings and data, as it will stand in its checkpoints.
        max_epochs: length of the run.
        resume: there must be something to continue.
        may_be_longer: a trained run may be given more epochs.

    Raises:
        RunError: another run is in the way, its checkpoints are damaged, or there is nothing to continue.
    """
    best, last = (folder / CHECKPOINTS / name for name in (BEST, LAST))
    # The best one is written first: a run that was killed in its first epoch has no other.
    there = last if last.is_file() else best
    if not there.is_file():
        if resume:
            raise RunError(f"resume=true, but {last} does not exist, so there is nothing to continue in {folder}.")
        return RunState()
    checkpoint = _whole(there, best)
    recorded, epoch = about(checkpoint), checkpoint["epoch"] + 1
    has_stopped = stopped_early(checkpoint.get("callbacks", {}))
    is_trained = there == last and (has_stopped or epoch >= recorded["config"]["optim"]["max_epochs"])
    is_longer = may_be_longer and is_trained and epoch < max_epochs and _differs_in_schedule(recorded, wanted)
    if not is_longer:
        _require_same_run(folder, recorded, wanted, is_trained=is_trained)
    is_finished = not is_longer and (epoch >= max_epochs or has_stopped)
    if is_finished:
        if there == best:
            return RunState()  # killed between its two checkpoints; they are made again
        _require_best(best, last)
    is_best_lost = knows_a_best(checkpoint["callbacks"]) and not _reads(best)
    decided = recorded.get("decided", {})
    since = epoch if is_longer else decided.get("schedule_from", 0)
    return RunState(there, epoch, decided, since, is_longer, is_finished, is_best_lost)


def state_beside(folder: Path, wanted: Mapping[str, Any], *, max_epochs: int) -> RunState:
    """The same of a run that is to replace another one; where that is not the run wanted, it does not count."""
    try:
        return state_of_run(folder, wanted, max_epochs=max_epochs, may_be_longer=False)
    except RunError:
        return RunState()


def _whole(path: Path, best: Path) -> dict[str, Any]:
    """A checkpoint that can be gone on from, with a way out where it cannot."""
    try:
        checkpoint = read_checkpoint(path)
        missing = [key for key in NEEDED if key not in checkpoint]
        if missing:
            raise RunError(f"{path} cannot be gone on from: it lacks {', '.join(missing)}.")
    except RunError as error:
        way_out = "overwrite=true discards the run and trains again."
        if path != best and _reads(best):
            way_out = (
                f"{best} is whole, of epoch {read_checkpoint(best)['epoch'] + 1}. To go on from there, give the same "
                f"command after: cp {shlex.quote(str(best))} {shlex.quote(str(path))}"
            )
        raise RunError(f"{error}\n{way_out}") from error
    return checkpoint


def _reads(path: Path) -> bool:
    try:
        return all(key in read_checkpoint(path) for key in NEEDED)
    except RunError:
        return False


def _differing(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    recorded, wanted = ({key: of[key] for key in of if key not in SAYS_NOTHING} for of in (recorded, wanted))
    settings = {key: value for key, value in recorded["config"].items() if key not in MAY_CHANGE}
    return differences({**recorded, "config": settings}, wanted)


def _differs_in_schedule(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether two runs differ, and in nothing but their schedule."""

    def without(record: Mapping[str, Any]) -> dict[str, Any]:
        config = record["config"]
        optim = {key: value for key, value in config["optim"].items() if key not in OF_SCHEDULE}
        return {**record, "config": {**config, "optim": optim}}

    return bool(_differing(recorded, wanted)) and not _differing(without(recorded), without(wanted))


def _require_same_run(
    folder: Path, recorded: Mapping[str, Any], wanted: Mapping[str, Any], *, is_trained: bool
) -> None:
    found = _differing(recorded, wanted)
    if found:
        lines = "\n  ".join(found)
        only_longer = not is_trained and _differs_in_schedule(recorded, wanted)
        later = " A run is given more epochs when it is trained: finish it first." if only_longer else ""
        raise RunError(
            f"{folder} holds a run that differs from this one:\n  {lines}\n"
            f"Choose another out, or discard that run with overwrite=true.{later}"
        )


def _require_best(best: Path, last: Path) -> None:
    try:
        read_checkpoint(best)
    except RunError as error:
        raise RunError(
            f"the run is trained, but {error}\n{last} is whole: use it with checkpoint=last, or train again with "
            "overwrite=true."
        ) from error


def begin(folder: Path) -> None:
    """Make the folder of the checkpoints, and clear away what a killed run left half written in it.

    Raises:
        RunError: checkpoints cannot be written there.
    """
    checkpoints = folder / CHECKPOINTS
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        for name in (BEST, LAST):
            for part in checkpoints.glob(f".{name}*.part"):
                part.unlink()
        with write_atomic(checkpoints / PROBE):
            pass
        (checkpoints / PROBE).unlink()
    except OSError as error:
        raise RunError(
            f"checkpoints cannot be saved in {checkpoints}: {error.strerror or error}. Make room, give yourself the "
            "right to write there, or choose another out."
        ) from error
