"""Loggers: where the figures of a run go while it trains. One file each; called as `factory(run, **options)`.

Place in the flow: Lightning's Trainer -> a Logger of Lightning's, in the first process. Those that write elsewhere than
into the run folder begin when that is made, and go on there when the run does: see `elsewhere`.
"""

from pathlib import Path
from typing import NamedTuple

from fusemix.parts.registry import Registry

LOGGERS = Registry(
    "logger",
    {
        "csv": "fusemix.fusion.loggers.csv:csv",
        "mlflow": "fusemix.fusion.loggers.mlflow:mlflow",
        "tensorboard": "fusemix.fusion.loggers.tensorboard:tensorboard",
        "wandb": "fusemix.fusion.loggers.wandb:wandb",
    },
    given=["run"],
)


class LoggedRun(NamedTuple):
    """The run that is logged.

    Attributes:
        folder: that it is written in.
        name: for people.
        epoch: how many epochs are done.
    """

    folder: Path
    name: str
    epoch: int
