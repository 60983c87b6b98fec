"""A process that is ended before one of its steps on the disk: what the next command finds, at every line."""

import os
import sys
from collections.abc import Callable

KILLED, FAILED = 9, 3
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}


def killed_before(step: int, work: Callable[[], object]) -> bool:
    """Work in a child that dies before it changes the disk for the `step`-th time; False where it ended first."""
    child = os.fork()
    if child == 0:
        done = 0

        def watch(event: str, args: tuple) -> None:
            nonlocal done
            if event in CHANGES or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)):
                if done == step:
                    os._exit(KILLED)
                done += 1

        try:
            sys.addaudithook(watch)
            work()
        except BaseException:
            os._exit(FAILED)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (KILLED, 0), "the work itself failed"
    return code == KILLED
