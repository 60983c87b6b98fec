"""MLflow. Place in the flow: see loggers/__init__.py."""

from collections.abc import Mapping
from typing import Any

import mlflow as package
from lightning.pytorch.loggers import Logger, MLFlowLogger

from fusemix.fusion.loggers.elsewhere import Elsewhere

WAY_OUT = (
    "Give the server's address, or a file of a database, as MLFLOW_TRACKING_URI or as "
    "logger.options.tracking_uri=sqlite:///mlflow.db."
)


def mlflow(
    run: Any,
    *,
    experiment: str = "fusemix",
    name: str | None = None,
    tracking_uri: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Logger:
    """MLflow, on a server or in a file.

    Args:
        run: a LoggedRun.
        experiment: which runs stand beside one another.
        name: of the run; that of its folder where it is not given.
        tracking_uri: https://…, or sqlite:///mlflow.db; MLFLOW_TRACKING_URI or MLflow's own default where not given.
        tags: of the run.
    """

    def connect(known: str | None) -> tuple[Logger, str]:
        logger = MLFlowLogger(
            experiment_name=experiment,
            run_name=name or run.name,
            tracking_uri=tracking_uri or package.get_tracking_uri(),
            tags=dict(tags or {}),
            run_id=known,
        )
        assert logger.experiment, "it connects when it is first asked for"
        return logger, str(logger.run_id)

    return Elsewhere("mlflow", connect, WAY_OUT)
