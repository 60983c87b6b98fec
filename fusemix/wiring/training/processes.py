"""The processes that train, before there is anything to train.

Place in the flow: TrainConfig -> a bare Trainer of Lightning's, which knows how many there are and which is the first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fusemix.config import TrainConfig, to_plain
from fusemix.errors import ConfigError, first_line


def processes_of(config: TrainConfig) -> L.Trainer:
    """A Trainer for nothing but its processes; those of the Trainer that trains are the same.

    Raises:
        ConfigError: accelerator or devices are unknown, or not available here.
    """
    with available_here(config):
        return L.Trainer(**devices_of(config), logger=False, enable_checkpointing=False, enable_progress_bar=False)


def devices_of(config: TrainConfig) -> dict[str, Any]:
    """What tells a Trainer which devices of which machines to use."""
    return to_plain(config.compute)


@contextmanager
def available_here(config: TrainConfig) -> Iterator[None]:
    """Where Lightning cannot do with the devices or the precision asked for, say which these are.

    Raises:
        ConfigError: they are unknown, or not available here.
    """
    try:
        yield
    except (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError) as error:
        asked = {f"compute.{key}": value for key, value in devices_of(config).items()} | {"precision": config.precision}
        raise ConfigError(
            f"{', '.join(f'{key}={value}' for key, value in asked.items())} cannot be used here: "
            f"{first_line(error)} See `fusemix doctor`."
        ) from error
