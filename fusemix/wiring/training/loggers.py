"""Loggers of a run, by name.

Place in the flow: TrainConfig -> LOGGERS -> Lightning's Trainer.
"""

from pathlib import Path

from lightning.pytorch.loggers import Logger

from fusemix.config import TrainConfig
from fusemix.errors import ConfigError
from fusemix.fusion.loggers import LOGGERS, LoggedRun


def loggers_of(config: TrainConfig, place: Path, epoch: int) -> list[Logger]:
    """The loggers of a run; those that write elsewhere wait for `begin_logging`.

    Args:
        config: of the run.
        place: folder that it is written in.
        epoch: how many epochs are done.

    Raises:
        ConfigError: a package is missing, or a factory gave no logger.
    """
    run = LoggedRun(place, Path(config.out).resolve().name, epoch)
    found = []
    for part in config.logger:
        made = LOGGERS.build(part.name, part.options, run=run)
        if not isinstance(made, Logger):
            raise ConfigError(f"logger {part.name!r} gave {type(made).__name__}, where a Logger of Lightning's is due.")
        found.append(made)
    return found
