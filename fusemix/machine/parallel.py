"""One process or many: the same code on one CPU, on eight GPUs, or on several nodes, by Lightning Fabric.

Place in the flow: settings -> Fabric; what each process found -> all of them.
Started as a script, the first process starts the others, with the same command; under SLURM and torchrun
they are there already. Who may write where is in fusemix/machine/alone.py.
"""

import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fusemix.disk.files import sha256_of_json
from fusemix.errors import ConfigError, FusemixError, first_line, sentence_of

T = TypeVar("T")
FAILED = "fusemix/failed"
"""Key that all processes see, once one of them had to stop."""
ENDED = (
    "another process has ended without a word, and so has this one: it was killed, perhaps for lack of memory, or its "
    "own output says more. What was finished is kept; give the same command again."
)
LOOK_SEC = 1.0
"""How often a process looks whether another had to stop."""
PATIENCE = timedelta(days=30)
"""Processes wait for one another at the end of long work; the usual 30 minutes would end it."""


def fabric_for(accelerator: str, devices: str, num_nodes: int) -> Fabric:
    """Fabric over the devices asked for, not launched yet.

    Processes talk over gloo: all that they exchange are plans and messages, and it waits without using a device.

    Raises:
        ConfigError: they are not available here.
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
            f"compute.accelerator={accelerator}, compute.devices={devices}, compute.num_nodes={num_nodes} "
            "cannot be used here: "
            f"{first_line(error)} See `fusemix doctor`."
        ) from error


@contextmanager
def first_alone(fabric: Fabric) -> Iterator[None]:
    """Let the first process of each machine go first, so that it alone fetches what the others then find there.

    Where Fabric starts the others itself, it does so afterwards, and they find everything there, too; otherwise it is
    launched already.
    """
    if not started_by_others(fabric):
        yield
        return
    if fabric.local_rank > 0:
        fabric.barrier()
    try:
        yield
    except (FusemixError, OSError) as error:
        if fabric.local_rank == 0:  # before the others find the same
            tell_at_once(fabric, error, only_the_first=True)
        raise
    finally:  # Fabric's own rank_zero_first would leave the others waiting
        if fabric.local_rank == 0:
            fabric.barrier()


@runtime_checkable
class Processes(Protocol):
    """What Fabric and Lightning's Trainer both say of the processes."""

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the first one of all."""
        ...

    @property
    def global_rank(self) -> int:
        """Its number among all."""
        ...

    @property
    def world_size(self) -> int:
        """How many there are."""
        ...

    @property
    def strategy(self) -> Any:
        """How they work together."""
        ...


class AnotherFailedError(FusemixError):
    """Another process had to stop, and has said why."""


@contextmanager
def failing_together(processes: Processes) -> Iterator[None]:
    """End all processes where one of them has to stop.

    That one says why at once, and the others hear of it where they call `stop_if_another_failed`; all end without a
    word but the first process, which says it again where it happened on another machine.

    Raises:
        FusemixError, OSError: in the first process, or before they are launched in this one.
    """
    problem = None
    try:
        yield
    except AnotherFailedError:
        pass
    except (FusemixError, OSError) as error:
        if not torch.distributed.is_initialized():
            raise
        problem = error
        if not hasattr(error, "was_told"):
            tell_at_once(processes, error, only_the_first=True)
    try:
        found = gathered((socket.gethostname(), problem))
    except RuntimeError as error:
        raise problem or FusemixError(ENDED) from error
    told = [(rank, host, failed) for rank, (host, failed) in enumerate(found) if failed]
    if told and not processes.is_global_zero:
        raise SystemExit(0)
    if told:
        raise _in_words(*min(told, key=lambda one: getattr(one[2], "was_told", "") != "here"))


def tell_at_once(processes: Processes, error: FusemixError | OSError, *, only_the_first: bool = False) -> None:
    """On the screen, and to the others: until all meet again hours may pass. What several find is said once.

    Args:
        processes: all of them.
        error: what this one has to stop for.
        only_the_first: of different errors, too.
    """
    text = _text(error)
    try:
        words = _shared_words()
        words.set(FAILED, "yes")
        key = "" if only_the_first else sha256_of_json(text)
        is_new = words.add(f"{FAILED}/{key}", 1) == 1
    except RuntimeError:  # the process that keeps them is gone, which all will notice
        is_new = True
    if is_new:
        where = "" if processes.is_global_zero else f"process {processes.global_rank} on {socket.gethostname()}: "
        print(f"fusemix: {where}{text}", file=sys.stderr, flush=True)  # noqa: T201
    error.was_told = "here" if is_new else "elsewhere"  # pyright: ignore[reportAttributeAccessIssue] - for cli.run


def _in_words(rank: int, host: str, failed: FusemixError | OSError) -> FusemixError | OSError:
    """What the first process says: with the place, where that was on another machine and told there."""
    if host == socket.gethostname():
        return failed
    kind = FusemixError if isinstance(failed, OSError) else type(failed)
    return kind(f"process {rank} on {host} had to stop: {_text(failed)}")


def _text(error: FusemixError | OSError) -> str:
    return sentence_of(error) if isinstance(error, OSError) else str(error)


_looked = 0.0


def stop_if_another_failed() -> None:
    """To be called now and then in long work that all share; costs next to nothing.

    Raises:
        FusemixError: another process had to stop, or the first one is gone.
    """
    global _looked
    if torch.distributed.is_initialized() and time.monotonic() - _looked >= LOOK_SEC:
        _looked = time.monotonic()
        if was_said(FAILED):
            raise AnotherFailedError("another process had to stop")


def say(word: str) -> None:
    """Tell all processes something that is true from now on; they ask by `was_said`."""
    if torch.distributed.is_initialized():
        with suppress(RuntimeError):  # the process that keeps it is gone, which all will notice
            _shared_words().set(word, "yes")


def was_said(word: str) -> bool:
    """Whether any process has said it; without waiting, however long that takes.

    Raises:
        FusemixError: the first process is gone.
    """
    try:
        return _shared_words().check([word])
    except RuntimeError as error:
        raise FusemixError(
            "the first process is gone, so this one stops, too. What was finished is kept; give the same command again."
        ) from error


def _shared_words() -> Any:
    return torch.distributed.distributed_c10d._get_default_store()


def started_by_others(processes: Processes) -> bool:
    """Whether all processes are there from the start, as under SLURM and torchrun."""
    environment = getattr(processes.strategy, "cluster_environment", None)
    # Lightning's own environment starts the others, and calls itself external in those that it has started.
    return environment is not None and not isinstance(environment, LightningEnvironment)


def gathered(value: T) -> list[T]:
    """What each process found, in order of ranks; every process gets all of it."""
    if not torch.distributed.is_initialized():
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def decided_by_the_first(processes: Processes, decide: Callable[[], T]) -> T:
    """What the first process finds, in all that are launched: others may see a folder later, or as it was before.

    Raises:
        FusemixError, OSError: it had to stop; raised in the first one, while the others end without a word.
    """
    found: list[T] = []
    with failing_together(processes):
        if processes.is_global_zero or not torch.distributed.is_initialized():
            found = [decide()]
    try:
        return gathered(found)[0][0]
    except RuntimeError as error:
        raise FusemixError(ENDED) from error


def added_up(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, element by element, where their group exchanges tensors; in place."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


def end_group() -> None:
    """Let processes that talked to one another part in order, before Python ends.

    A thread of the group's that lets go of a tensor while the interpreter is being taken down would abort it.
    """
    if torch.distributed.is_initialized():
        with suppress(RuntimeError):  # others are gone; why this command ends is told elsewhere
            torch.distributed.destroy_process_group()
