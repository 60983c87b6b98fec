"""Which goes first on a CPU: the encoder, or the workers that read ahead.

Place in the flow: a worker's start, and the encoder's wait for it -> the system's scheduler.
A thread of the encoder that has to wait for a core holds up all the others, so that a worker beside it costs
double. Workers therefore take idle cores alone, and all of them while the encoder waits. Where others keep
the machine busy, no core is ever idle; then they have to compete.
"""

import contextlib
import multiprocessing
import os
import time
from pathlib import Path

LONG_WAIT_SEC = 1.0
"""An encoder that waited so long for its workers gets more from them at the front."""
LOWEST = 19


def step_back() -> None:
    """Let this process run on idle cores only; on systems other than Linux, after all others."""
    with contextlib.suppress(OSError):  # a container may forbid it
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        elif hasattr(os, "nice"):
            os.nice(LOWEST)


def unhindered_time() -> float:
    """Seconds on a clock of this thread that stands still while it waits for a core, where the system tells (Linux)."""
    queued = 0
    with contextlib.suppress(OSError):
        queued = int(Path("/proc/thread-self/schedstat").read_text().split()[1])  # in nanoseconds
    return time.perf_counter() - queued / 1e9


def call_workers_forward() -> None:
    """Let the workers of this process compete like all others, where the system allows it."""
    if not hasattr(os, "SCHED_OTHER"):
        return
    for worker in multiprocessing.active_children():
        with contextlib.suppress(OSError):  # it may have ended
            os.sched_setscheduler(worker.pid or 0, os.SCHED_OTHER, os.sched_param(0))
