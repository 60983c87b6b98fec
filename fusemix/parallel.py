"""One process or many: the same code on one CPU, on eight GPUs, or on several nodes, by Lightning Fabric.

Place in the flow: settings -> Fabric; what each process found -> all of them.
Started as a script, the first process starts the others, with the same command; under SLURM and torchrun
they are there already.
"""

import logging
from datetime import timedelta
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fusemix.errors import ConfigError

T = TypeVar("T")
PATIENCE = timedelta(days=30)
"""Processes wait for one another at the end of long work; the usual 30 minutes would end it."""


def fabric_for(accelerator: str, devices: str, num_nodes: int) -> Fabric:
    """Fabric over the devices asked for, not launched yet.

    Processes talk over gloo: all that they exchange are plans and messages, and it waits without using a device.

    Raises:
        ConfigError: they are not to be had here.
    """
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # each process would announce itself
    settings: dict[str, Any] = {"accelerator": accelerator, "devices": devices, "num_nodes": num_nodes}
    try:
        fabric = Fabric(**settings)
        if fabric.world_size == 1:
            return fabric
        return Fabric(**settings, strategy=DDPStrategy(process_group_backend="gloo", timeout=PATIENCE))
    except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"accelerator={accelerator}, devices={devices}, num_nodes={num_nodes} cannot be used here: "
            f"{str(error).splitlines()[0]} See `fusemix doctor`."
        ) from error


def gathered(fabric: Fabric, value: T) -> list[T]:
    """What each process found, in order of ranks; every process gets all of it."""
    if fabric.world_size == 1:
        return [value]
    values: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(values, value)
    return values
