"""A process that is ended before one of its steps on the disk: what it leaves, for every step."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}


def states_when_killed(work: Callable[[Path], object], before: Path, states: Path) -> list[Path]:
    """What is on the disk where a process dies before it changes it for the first, second, … time, and at the end.

    One child works on a copy, and all that it has written by then is copied before each of its changes: what it holds
    back in memory is lost there as in a process that dies. A change that leaves nothing else on the disk, as where
    a file is opened that is there already, gives no state of its own.

    Args:
        work: done on a folder, in a child.
        before: that folder as it is at first.
        states: a new folder.

    Returns:
        A folder for each state, each in one of its own, under the name of `before`.
    """
    place = Path(shutil.copytree(before, states / "work" / before.name))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            copies = _Copies(place, states)
            sys.addaudithook(copies.watch)
            work(place)
            copies.take()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the work itself failed"
    return sorted(folder / before.name for folder in states.iterdir() if folder.name != "work")


class _Copies:
    """Copies of a folder in all states that differ from the one before.

    Args:
        place: the folder.
        states: where copies go, numbered.
    """

    def __init__(self, place: Path, states: Path) -> None:
        self._place, self._states = place, states
        self._count, self._is_copying, self._last = 0, False, None

    def watch(self, event: str, args: tuple) -> None:
        """An audit hook: before each change of the disk, there is a copy."""
        is_change = event in CHANGES or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR))
        if is_change and not self._is_copying:
            self.take()

    def take(self) -> None:
        """Copy the folder, unless it is as it was copied last."""
        self._is_copying = True
        found: dict[str, Any] = {
            str(path.relative_to(self._place)): path.read_bytes() if path.is_file() else None
            for path in self._place.rglob("*")
        }
        if found != self._last:
            shutil.copytree(self._place, self._states / f"{self._count:04}" / self._place.name)
            self._last = found
            self._count += 1
        self._is_copying = False
