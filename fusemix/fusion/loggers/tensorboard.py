"""TensorBoard's events in the run folder. Place in the flow: see loggers/__init__.py."""

from typing import Any

from lightning.pytorch.loggers import Logger

from fusemix.fusion.saving import Events


def tensorboard(run: Any) -> Logger:
    """tensorboard/ in the run folder, for `tensorboard --logdir runs`.

    Args:
        run: a LoggedRun.
    """
    return Events(run.folder / "tensorboard")
