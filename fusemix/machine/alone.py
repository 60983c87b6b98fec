"""The processes of one command write in a folder, and nobody else does.

Place in the flow: a command that may run in many processes -> alone_in(out) -> its work.

Looked at before any work begins: that as many processes were started as the settings say, that no other command writes
in the folder, and that all processes see the same folder.
"""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.fabric import Fabric

from fusemix.disk.holders import read_holder
from fusemix.disk.locks import one_writer
from fusemix.disk.out_folder import lock_of, record_of, resolved, share_lock
from fusemix.disk.shares import ALONE, Beside, Share, alone_for_a_moment, side_by_side
from fusemix.errors import ConfigError, FusemixError, OutputError
from fusemix.machine.parallel import (
    Processes,
    end_group,
    failing_together,
    gathered,
    say,
    started_by_others,
    tell_at_once,
    was_said,
)

SHARED_SEC = 20.0
"""So long a network file system may take to show a new file to another machine."""
TAKEN = "fusemix/taken"
"""Said once the first process has the folders, or has failed to get them."""
LOOK_SEC = 0.1


@contextmanager
def alone_in(
    folders: Sequence[Path],
    processes: Processes,
    *,
    doing: str,
    wait_sec: float,
    devices: str,
    num_nodes: int,
    shared: bool = True,
    share: Share | None = None,
) -> Iterator[Beside]:
    """Hold folders for all processes of this command; those that a launcher has started talk to one another from here.

    Args:
        folders: that are written.
        processes: Fabric or Lightning's Trainer, not launched yet.
        doing: name of the command.
        wait_sec: how long to wait for another writer, in seconds.
        devices, num_nodes: as set.
        shared: all processes must see the folders.
        share: that this command has of the folders, beside others; None holds all of them alone.

    Yields:
        How they are held.

    Raises:
        ConfigError: a launcher has started another number of processes.
        OutputError: another command writes there, nobody can, or not all processes see the same folder.
    """
    require_as_started(processes, devices, num_nodes)
    with ExitStack() as stack:
        stack.callback(end_group)
        if started_by_others(processes):
            processes.launch() if isinstance(processes, Fabric) else processes.strategy.setup_environment()
        tokens: list[str] = []
        with failing_together(processes):
            if processes.is_global_zero:
                try:
                    for folder in sorted(set(folders)):  # in one order, so that two commands cannot wait in a circle
                        how: dict[str, Any] = {"doing": doing, "wait_sec": wait_sec}
                        held = side_by_side(folder, share, **how) if share else one_writer(folder, **how)
                        tokens.append(stack.enter_context(held).me.token)
                finally:
                    say(TAKEN)
            elif torch.distributed.is_initialized():
                while not was_said(TAKEN):
                    time.sleep(LOOK_SEC)
        if shared:
            require_one_place(sorted(set(folders)), processes, tokens, share)
        try:
            yield Beside(share, partial(alone_for_a_moment, folders, doing, share)) if share else ALONE
        except (FusemixError, OSError) as error:
            if torch.distributed.is_initialized() and not getattr(error, "was_told", False):
                tell_at_once(processes, error)
            raise


def require_one_place(
    folders: Sequence[Path], processes: Processes, tokens: Sequence[str], share: Share | None = None
) -> None:
    """Refuse folders that are not the same for all processes; does nothing in one that is by itself yet.

    Args:
        folders: whose locks the first process holds.
        processes: all of them.
        tokens: of the locks, in the first process.
        share: whose locks these are.
    """
    with failing_together(processes):
        for folder, token in zip(folders, gathered(tokens)[0], strict=False):
            lock, deadline = lock_of(resolved(folder)), time.monotonic() + SHARED_SEC
            record = record_of(share_lock(lock, *share) if share else lock)
            while (found := read_holder(record)) is None or found.token != token:
                if time.monotonic() > deadline:
                    raise OutputError(
                        f"{folder} on {socket.gethostname()} is not the folder that the first process writes to. "
                        "Choose an out on a file system that all machines see."
                    )
                time.sleep(LOOK_SEC)


class Started(NamedTuple):
    """What a launcher has started; `nodes` is None where it does not say, and `rank` is this one's number."""

    launcher: str
    processes: int
    nodes: int | None
    rank: int


def started_around() -> Started | None:
    """What started this process beside others, by the variables that it sets; None where nothing says so."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        count, of_node = _number("WORLD_SIZE"), _number("LOCAL_WORLD_SIZE")
        return Started("torchrun", count or 1, count // of_node if count and of_node else None, _number("RANK") or 0)
    # As Lightning sees it: in a shell of SLURM's nothing was started beside others.
    if _number("SLURM_NTASKS") and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return Started("SLURM", _number("SLURM_NTASKS") or 1, _number("SLURM_NNODES"), _number("SLURM_PROCID") or 0)
    if count := _number("OMPI_COMM_WORLD_SIZE") or _number("PMI_SIZE"):
        return Started("mpirun", count, None, _number("OMPI_COMM_WORLD_RANK") or _number("PMI_RANK") or 0)
    if "RANK" in os.environ and (count := _number("WORLD_SIZE")):
        return Started("a launcher (RANK and WORLD_SIZE are set)", count, None, _number("RANK") or 0)
    return None


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else None


def require_as_started(processes: Processes, devices: str, num_nodes: int) -> None:
    """Refuse another number of processes than a launcher has started: each would believe to be alone, or wait forever.

    Raises:
        ConfigError: the numbers differ, or other machines are meant and nothing says where they are.
    """
    started = started_around()
    if started is None:
        if num_nodes > 1 and "MASTER_ADDR" not in os.environ:
            raise ConfigError(
                f"compute.num_nodes={num_nodes}, but nothing has started this command on other machines, and it would "
                "wait for them forever. Start it by srun or torchrun, or by hand on each machine with MASTER_ADDR, "
                "MASTER_PORT and NODE_RANK set, or leave compute.num_nodes out."
            )
        return
    nodes = num_nodes if started.nodes is None else started.nodes
    if started.processes == processes.world_size and (nodes == num_nodes or started.processes == 1):
        return
    if started.processes == 1:
        how = f"start {processes.world_size} (torchrun --nproc-per-node, srun --ntasks-per-node)"
        if started.launcher == "SLURM" and processes.world_size > 1:
            how += ", as many on each node as compute.devices says"
    else:
        how = "start the command once (with srun: --ntasks=1)"
    error = ConfigError(
        f"{started.launcher} has started {started.processes} process{'es' if started.processes > 1 else ''} on {nodes} "
        f"machine{'s' if nodes > 1 else ''}, "
        f"but compute.devices={devices} and compute.num_nodes={num_nodes} mean {processes.world_size}. Say what there "
        f"is, compute.devices={max(1, started.processes // nodes)} compute.num_nodes={nodes}, or {how}."
    )
    if started.rank:  # the first process says it for all
        error.was_told = "elsewhere"  # pyright: ignore[reportAttributeAccessIssue] - for cli.run
    raise error
