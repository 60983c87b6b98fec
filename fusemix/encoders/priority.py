"""Which goes first on a CPU: the encoder, or the workers that read ahead.

Place in the flow: a worker's start -> the system's scheduler; a thread, or a pass -> the time that others did not take.
A thread of the encoder that has to wait for a core holds up all the others, so that a worker beside it costs
double. Workers therefore take idle cores alone, and all of them while the encoder waits.
"""

import contextlib
import os
import time
from pathlib import Path

import torch

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


class Stopwatch:
    """What work of all threads takes, as it would on a machine that does nothing else; running from the start.

    On a CPU, without what threads waited for a core, where the system tells (Linux), but no less than they computed.

    Args:
        device: that the work is done on.
    """

    def __init__(self, device: torch.device) -> None:
        self._is_cpu = device.type == "cpu"
        self._queued = _queued_of_all() if self._is_cpu else 0.0
        self._computed, self._started = time.process_time(), time.perf_counter()

    def seconds(self) -> float:
        """So far."""
        passed, computed = time.perf_counter() - self._started, time.process_time() - self._computed
        if not self._is_cpu:
            return passed
        return max(passed - (_queued_of_all() - self._queued), min(passed, computed / torch.get_num_threads()))


def _queued_of_all() -> float:
    """Seconds that all threads of this process have waited for a core so far."""
    queued = 0
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it may have ended
            queued += int(thread.read_text().split()[1])
    return queued / 1e9
