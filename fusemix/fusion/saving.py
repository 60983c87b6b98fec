"""What a run leaves on disk while it trains: checkpoints, metrics.csv and TensorBoard's events.

Place in the flow: Lightning's Trainer -> the run folder.
Lightning's own plugin stages a checkpoint in TMPDIR and copies it over the one before where that is another file
system, so a kill would leave neither; and its CSVLogger empties metrics.csv before it writes it. Here each of both
is complete or absent, and the one before stays until then. Events are only added to; readers pass over a torn one.
"""

import csv
import io
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import lightning as L
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]: made when imported
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter

from fusemix.disk.files import write_text
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import LAST
from fusemix.fusion.gathering import stop_together
from fusemix.fusion.snapshots import Writer
from fusemix.progress import console

METRICS = "metrics.csv"


class WholeCheckpoints(CheckpointIO):
    """Checkpoints that are complete or absent, written beside the steps; see `snapshots.Writer`.

    An error while one is written ends the run, when the next one is saved or all are to be there.
    """

    def __init__(self) -> None:
        self._writer = Writer()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Copy what is to be written; the last one is saved after the best, and with it all is there to be written.

        Raises:
            RunError: one could not be written; what was there before is as it was.
        """
        path = Path(path)
        with _told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer.take((checkpoint["epoch"], checkpoint["global_step"]), checkpoint, path)
            if path.name == LAST:
                self._writer.write_if_due()

    def finish(self) -> None:
        """Write what is not written yet.

        Raises:
            RunError: one could not be written.
        """
        with _told():
            self._writer.finish()

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read, without running any code that a checkpoint might hold."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove."""
        Path(path).unlink(missing_ok=True)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(_not_saved(Path(str(error.filename)), error)) from error


def _not_saved(path: Path, error: OSError) -> str:
    last = path.with_name(LAST)
    goes_on = f"goes on from {last}" if last.is_file() else "starts again, since no checkpoint was saved before"
    return (
        f"{path} cannot be saved: {error.strerror or error}. The run ends here. Make room, or give yourself the right "
        f"to write there; then the same command {goes_on}."
    )


class SavedTogether(DDPStrategy):
    """Many processes, of which the first one writes checkpoints, and all end where it cannot."""

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Save in the first process.

        Raises:
            RunError: it cannot be saved; in the first process, the others end without a word.
        """
        problem = None
        try:
            super().save_checkpoint(checkpoint, filepath, storage_options=storage_options)
        except RunError as error:
            problem = str(error)
        stop_together(problem)


def finish_writing(trainer: L.Trainer) -> None:
    """Let all checkpoints be written; each process has to come here.

    Raises:
        RunError: one could not be; in the first process, the others end without a word.
    """
    problem = None
    try:
        _written_by(trainer).finish()
    except RunError as error:
        problem = str(error)
    stop_together(problem)


def _written_by(trainer: L.Trainer) -> WholeCheckpoints:
    found = trainer.strategy.checkpoint_io
    assert isinstance(found, WholeCheckpoints), "build.train.trainer gives it"
    return found


class WrittenToTheEnd(Callback):
    """Writes the checkpoints that wait when training ends, however it does."""

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wait for all to be written.

        Raises:
            RunError: one could not be.
        """
        finish_writing(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep what was finished before, also after Ctrl-C; what is said besides is why the run ends."""
        try:
            _written_by(trainer).finish()
        except RunError as error:
            if not isinstance(exception, RunError):
                console.print(str(error))


class OfOneRun(Logger):
    """A run has one logger of a kind, so that it needs no name."""

    @property
    def name(self) -> str:
        """Nothing: a run has one."""
        return ""

    @property
    def version(self) -> str:
        """Nothing: a run has one."""
        return ""


class Metrics(OfOneRun):
    """metrics.csv: a row for all that is logged at once, written whole each time.

    A row that cannot be written is written with the next one: a checkpoint on the same disk says what is wrong.

    Args:
        folder: of the run.

    Attributes:
        problem: why the file is not up to date; None where it is.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.problem: str | None = None
        self._path = folder / METRICS
        self._rows: list[Mapping[str, Any]] = []

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self._path.parent)

    @rank_zero_only
    def keep_rows_before(self, epoch: int) -> None:
        """Take over the rows of earlier epochs when a run goes on; a torn line, as other versions left them, is not."""
        if not self._path.is_file():
            return
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        for row in csv.DictReader(whole):
            is_whole = None not in row and None not in row.values() and row.get("epoch", "").isdigit()
            if is_whole and int(row["epoch"]) < epoch:
                self._rows.append({key: value for key, value in row.items() if value})

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add a row."""
        self._rows.append({**metrics, "step": step})

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Settings are in config.yaml."""

    @rank_zero_only
    def save(self) -> None:
        """Write all rows."""
        if not self._rows:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=sorted(set().union(*self._rows)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        try:
            write_text(self._path, text.getvalue())
            self.problem = None
        except OSError as error:
            self.problem = f"{self._path} cannot be written: {error.strerror or error}"


class Events(OfOneRun):
    """TensorBoard's events, for looking at: that they cannot be written ends no run.

    A file of its own for each start of a run. Written in this thread: TensorBoard's own writer has one that ends with a
    traceback where the disk is full.

    Args:
        folder: of the events.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file: IO[bytes] | None = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add figures."""
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        event = Event(wall_time=time.time(), step=step or 0, summary=Summary(value=values))
        try:
            if self._file is None:
                self._file = self._begin()
            RecordWriter(self._file).write(event.SerializeToString())
            self._file.flush()
        except OSError:
            self._file = None  # what follows a torn event cannot be read: the next one begins another file

    def _begin(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = (self._folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}").open("xb")
        RecordWriter(file).write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        return file

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Settings are in config.yaml."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file: its folder may be moved now."""
        if self._file is not None:
            self._file.close()
            self._file = None
