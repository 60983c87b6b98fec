"""How workers of pytest-xdist share the tests and what takes long to make.

Place in the flow: `make test`, `make quick` -> as many workers as this process has cores -> whole files of tests.
"""

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

from filelock import FileLock
from xdist.scheduler import LoadFileScheduling

from fusemix.machine.limits import usable_cores

MOST = 4
"""Workers; each imports and collects everything first, and takes 2 GB."""


class ByFile(LoadFileScheduling):
    """A file goes to one worker, for what its tests share; and the exported models go together, which are moved."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/travel" if nodeid.startswith("tests/travel/") else super()._split_scope(nodeid)


def number_of_workers() -> int:
    """One a core; none where there is one core, and the tests run in pytest's own process."""
    cores = usable_cores()
    return min(cores, MOST) if cores > 1 else 0


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that all workers of a session read; the first one that asks makes it."""
    done = folder.with_name(f"{folder.name}.made")
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder
