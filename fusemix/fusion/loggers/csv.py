"""A table of figures in the run folder. Place in the flow: see loggers/__init__.py."""

from typing import Any

from lightning.pytorch.loggers import Logger

from fusemix.fusion.saving import Metrics


def csv(run: Any) -> Logger:
    """metrics.csv in the run folder, a row an epoch; whole at any time.

    Args:
        run: a LoggedRun.
    """
    metrics = Metrics(run.folder)
    metrics.keep_rows_before(run.epoch)
    return metrics
