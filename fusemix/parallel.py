"""One process or many: the same code on one CPU, on eight GPUs, or on several nodes, by Lightning Fabric.

Place in the flow: settings -> Fabric; what each process found -> all of them.
Started as a script, the first process starts the others, with the same command; under SLURM and torchrun
they are there already.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fusemix.errors import ConfigError, FusemixError

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


@contextmanager
def first_alone(fabric: Fabric) -> Iterator[None]:
    """Let the first process of each machine go first, so that it alone fetches what the others then find there.

    Where Fabric starts the others itself, it does so afterwards, and they find everything there, too.
    """
    if not started_by_others(fabric):
        yield
        return
    fabric.launch()
    if fabric.local_rank > 0:
        fabric.barrier()
    try:
        yield
    finally:  # Fabric's own rank_zero_first would leave the others waiting
        if fabric.local_rank == 0:
            fabric.barrier()


@contextmanager
def failing_together(fabric: Fabric) -> Iterator[None]:
    """End all processes where one of them has to stop: the first one says why, the others end without a word.

    Raises:
        FusemixError, OSError: in the first process, or before they are launched in this one.
    """
    problem = None
    try:
        yield
    except (FusemixError, OSError) as error:
        if not torch.distributed.is_initialized():
            raise
        problem = error
    for found in filter(None, gathered(fabric, problem)):
        raise found if fabric.is_global_zero else SystemExit(0)


def started_by_others(fabric: Fabric) -> bool:
    """Whether all processes are there from the start, as under SLURM and torchrun."""
    environment = getattr(fabric.strategy, "cluster_environment", None)
    # Lightning's own environment starts the others, and calls itself external in those that it has started.
    return environment is not None and not isinstance(environment, LightningEnvironment)


def gathered(fabric: Fabric, value: T) -> list[T]:
    """What each process found, in order of ranks; every process gets all of it."""
    if not torch.distributed.is_initialized():
        return [value]
    values: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(values, value)
    return values


def added_up(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, element by element, on the CPU; in place."""
    torch.distributed.all_reduce(values)
    return values
