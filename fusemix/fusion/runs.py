"""A run folder: is there a run to continue, one that is finished, or another one in the way?

Place in the flow: run folder -> the checkpoint to go on from.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import CSVLogger

from fusemix.errors import FusemixError, RunError
from fusemix.files import clear_discarded, differences, discard_folder, read_json, write_text
from fusemix.fusion.callbacks import stopped_early
from fusemix.fusion.checkpoints import CHECKPOINTS, about, read_checkpoint


def state_of_run(
    folder: Path, wanted: Mapping[str, Any], *, max_epochs: int, resume: bool, overwrite: bool
) -> tuple[Path | None, bool]:
    """Find out how to go on in a run folder; nothing is changed.

    Args:
        folder: of the run.
        wanted: what the run is going to be: settings and data, as it will stand in its checkpoints.
        max_epochs: length of the run.
        resume: there must be something to continue.
        overwrite: what is there does not count.

    Returns:
        The checkpoint to go on from, or None to start; and whether the run is finished already.

    Raises:
        RunError: another run is in the way, or there is nothing to continue.
    """
    last = folder / CHECKPOINTS / "last.ckpt"
    if overwrite:
        return None, False
    if not last.is_file():
        if resume:
            raise RunError(f"resume=true, but {last} does not exist, so there is nothing to continue in {folder}.")
        return None, False
    checkpoint = read_checkpoint(last)
    found = differences(about(checkpoint), dict(wanted))
    if found:
        lines = "\n  ".join(found)
        raise RunError(
            f"{folder} holds a run that differs from this one:\n  {lines}\n"
            "Choose another out, or discard that run with overwrite=true."
        )
    return last, checkpoint["epoch"] + 1 >= max_epochs or stopped_early(checkpoint.get("callbacks", {}))


def discard(folder: Path) -> None:
    """Remove the run that is in a folder, if what a run notes of itself says that one is."""
    clear_discarded(folder.parent)
    if (folder / "config.yaml").is_file() and _has_environment(folder):
        discard_folder(folder)


def _has_environment(folder: Path) -> bool:
    try:
        return read_json(folder / "environment.json").keys() >= {"python", "platform", "device", "packages"}
    except (OSError, ValueError, AttributeError, FusemixError):
        return False


def continue_metrics(trainer: L.Trainer) -> None:
    """Keep the rows of metrics.csv when a run goes on; Lightning's CSVLogger deletes the file."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            path = Path(logger.log_dir) / "metrics.csv"
            rows = path.read_text(encoding="utf-8") if path.is_file() else ""
            writer = logger.experiment  # making it is what deletes the file
            if rows:
                write_text(path, rows)
                writer.metrics_keys = rows.splitlines()[0].split(",")
