"""Loggers that write elsewhere than into the run folder: which run there is this one, and what if none answers.

Place in the flow: wandb.py, mlflow.py -> here -> Lightning's Trainer. In the run folder, loggers.json says by which id
each knows the run, so that a run which goes on is logged as one.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from fusemix.disk.files import read_json, write_json
from fusemix.errors import RunError, first_line
from fusemix.fusion.saving import OfOneRun
from fusemix.progress import console

IDS = "loggers.json"
"""Name of a logger -> the id by which it knows the run."""


class Elsewhere(OfOneRun):
    """A logger of Lightning's that begins late, and that ends no run.

    Args:
        kind: its name.
        connect: the id of a run that it knows, or None for a new one -> Lightning's logger, and the id.
        way_out: what to do where it cannot begin.
    """

    def __init__(self, kind: str, connect: Callable[[str | None], tuple[Logger, str]], way_out: str) -> None:
        super().__init__()
        self.kind = kind
        self._connect, self._way_out = connect, way_out
        self._logger: Logger | None = None

    def begin(self, known: str | None, settings: Mapping[str, Any]) -> str:
        """Connect, and log the settings; to be called in the first process alone.

        Args:
            known: id of the run that goes on; None begins one.
            settings: of the run, as plain data; they were logged before where it goes on.

        Returns:
            The id of the run.

        Raises:
            RunError: it cannot connect, or does not know the run.
        """
        try:
            self._logger, found = self._connect(known)
            if known is None:
                self._logger.log_hyperparams(dict(settings))
        except Exception as error:  # of a package that may raise anything, and of the network
            raise RunError(f"logger {self.kind} cannot begin: {first_line(error)}\n{self._way_out}") from error
        return found

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log figures; where that fails, say so and log no more."""
        if self._logger is None:  # not the first process, or given up
            return
        try:
            self._logger.log_metrics(metrics, step)
        except Exception as error:
            self._logger = None
            console.print(f"logger {self.kind} fails, and logs no more of this run: {first_line(error)}")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """`begin` logs the settings."""

    def finalize(self, status: str) -> None:
        """End the run there, as Lightning says how it ended; once."""
        logger, self._logger = self._logger, None
        if logger is not None:
            logger.finalize(status)


def begin_logging(loggers: Sequence[Logger], folder: Path, settings: Mapping[str, Any]) -> None:
    """Begin all loggers that write elsewhere, or go on with them; to be called in the first process alone.

    Args:
        loggers: of the trainer.
        folder: of the run, which is there.
        settings: of the run, as plain data.

    Raises:
        RunError: one cannot begin.
    """
    path = folder / IDS
    ids = read_json(path) if path.is_file() else {}
    for logger in loggers:
        if isinstance(logger, Elsewhere):
            ids[logger.kind] = logger.begin(ids.get(logger.kind), settings)
            write_json(path, ids)
