"""Worker processes, seen from both ends: how they begin, how they are waited for, and what may befall them.

Place in the flow: a loader -> the next parcel, or a sentence that says why there is none.
Not here: what they read (reading.py).
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from fusemix.encoders.priority import step_back
from fusemix.errors import EncoderError, FusemixError, first_line
from fusemix.machine.orphans import end_with_parent
from fusemix.progress import console

LOOK_SEC = 5
"""Whoever waits for a window looks that often whether its worker still lives."""
LOST_SEC = 60
"""A window that is finished and has not arrived after this is lost. Reading may take as long as it likes."""
TELL_SEC = 300
"""A wait is told about that often."""
LIMITS = ("Too many open files", "ancdata", "shared memory", "mmap")
"""Words of torch where a limit is reached while it receives."""
OPEN_FILES = 65536
"""Files that may be open at once, where the system's hard limit allows as many."""


def received(loader: Iterator[Any], has_finished: Callable[[], bool], awaited: str, *, leaves: bool) -> Any:
    """What a worker sends next; None where `leaves` and it takes longer than one look.

    Args:
        loader: with LOOK_SEC as its timeout.
        has_finished: whether a worker says that it is done with what is waited for.
        awaited: what that is, for messages.
        leaves: whether the caller has something better to do than to wait.

    Raises:
        FusemixError: that the worker sends.
        EncoderError: it was ended from outside, cannot be reached, or what it sent was lost.
    """
    waited, lost, told = 0.0, 0.0, 0.0
    while True:
        try:
            got = next(loader)
            if isinstance(got, FusemixError):
                raise got
            return got
        except (RuntimeError, OSError, EOFError) as error:
            if not str(error).startswith("DataLoader timed out"):
                _explain(error)
        if leaves:
            return None
        waited += LOOK_SEC
        lost += LOOK_SEC if has_finished() else 0
        if lost >= LOST_SEC:
            raise EncoderError(
                "what a worker had read was lost on its way to the encoder, as happens when too many files are open or "
                "memory runs out. Allow more open files (ulimit -n 65536), or set fewer num_workers. The same command "
                "goes on where it stopped."
            )
        if waited - told >= TELL_SEC:
            told = waited
            console.print(
                f"  waiting for {waited / 60:.0f} min for {awaited}: is the disk that holds them away? They are read "
                "as soon as it is back."
            )


def _explain(error: Exception) -> NoReturn:
    """Say what befell the workers; an error of the code that they run goes on as it is."""
    words = first_line(error)
    if words.startswith("Caught "):
        raise error
    if "DataLoader worker (pid" in words:
        raise EncoderError(
            f"a process that reads and decodes was ended from outside: {words}. Most likely it ran out of memory, or "
            "of shared memory: set fewer num_workers or a smaller batch_size, or start a container with more of it "
            "(docker run --shm-size=8g). If it says above why it ended, num_workers=0 helps to see more. The same "
            "command goes on where it stopped."
        ) from error
    if isinstance(error, RuntimeError) and not any(word in words for word in LIMITS):
        raise error
    raise EncoderError(
        f"what a worker has read cannot be received: {type(error).__name__}: {words}. Allow more open files "
        "(ulimit -n 65536), or set fewer num_workers. The same command goes on where it stopped."
    ) from error


def allow_open_files() -> None:
    """Raise this process's limit of open files to what it may be, for itself and the workers to come."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def begin(_: int) -> None:
    """What every worker does first."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # after a fork its threads are gone, and it would say so
    end_with_parent()


def begin_behind_the_encoder(worker: int) -> None:
    """The same, in idle time alone."""
    begin(worker)
    step_back()
