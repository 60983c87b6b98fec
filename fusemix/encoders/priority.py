"""Which goes first on a CPU: the encoder, or the workers that read ahead.

Place in the flow: a worker's start -> the system's scheduler; a thread -> the time that it was not kept waiting.
A thread of the encoder that has to wait for a core holds up all the others, so that a worker beside it costs
double. Workers therefore take idle cores alone, and all of them while the encoder waits.
"""

import contextlib
import os
import time
from pathlib import Path

LOWEST = 19


def step_back() -> None:
    """Let this process run on idle cores only, or on systems other than Linux after all others, for good.

    Only an administrator may take it back.
    """
    with contextlib.suppress(OSError):  # a container may forbid it
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        elif hasattr(os, "nice"):
            os.nice(LOWEST)


def unhindered_time() -> float:
    """Seconds on a clock of this thread that stands still while it waits for a core, where the system tells (Linux)."""
    queued = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        queued = int(Path("/proc/thread-self/schedstat").read_text().split()[1])  # in nanoseconds
    return time.perf_counter() - queued / 1e9
