"""The processes that train, before there is anything to train.

Place in the flow: TrainConfig -> a bare Trainer of Lightning's, which knows how many there are and which is the first.
"""

from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fusemix.config import TrainConfig
from fusemix.errors import ConfigError


def processes_of(config: TrainConfig) -> L.Trainer:
    """A Trainer for nothing but its processes; those of the Trainer that trains are the same.

    Raises:
        ConfigError: accelerator or devices are unknown, or not to be had here.
    """
    asked: dict[str, Any] = {
        name: getattr(config, name) for name in ("accelerator", "devices", "num_nodes", "precision")
    }
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    try:
        return L.Trainer(**{**asked, "precision": None}, **quiet)
    except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
        settings = ", ".join(f"{key}={value}" for key, value in asked.items())
        raise ConfigError(
            f"{settings} cannot be used here: {str(error).splitlines()[0]} See `fusemix doctor`."
        ) from error
