"""Independent jobs that fill one folder side by side: each has its share of the work, and they never meet.

Place in the flow: part=3/16 -> Share -> side_by_side(out) -> its shards -> a moment alone, to look and to seal.
Not here: parts of shards that are not whole (latents/parts.py).

Beside the lock of a single writer (locks.py) each job holds one of its own, `.NAME.part-3-of-16.lock`. The first one is
taken for moments only: to begin, to agree on what is shared, and to end. So a single writer and such jobs keep one
another out, a share is written by one job at a time, and a job that was killed keeps nobody waiting.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from fusemix.disk.holders import this_process
from fusemix.disk.locks import POLL_SEC, SHARED, Hold, holding, require_no_share
from fusemix.disk.out_folder import lock_of, require_writable, resolved, share_lock
from fusemix.disk.temporary import remove_leftovers
from fusemix.errors import OutputError

TEXT = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})", re.ASCII)
PATIENCE_SEC = 3600.0
"""A job that has a share waits so long for who only looks whether there is one."""


class Share(NamedTuple):
    """Every `of`-th shard, from the `number`-th on, which counts from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, index: int) -> bool:
        """Whether a shard, counted from 0, belongs to it."""
        return index % self.of == self.number - 1


def share_of(text: str) -> Share:
    """The share that `3/16` means.

    Raises:
        ValueError: it is none.
    """
    match = TEXT.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"{text!r} is no part: write i/n, with i from 1 to n, such as 3/16")
    return Share(int(match[1]), int(match[2]))


class Beside(NamedTuple):
    """How a command writes in its folders: alone, or a share of them beside others.

    Attributes:
        share: of the shards; None means all.
        moment: holds the folders alone, for what all shares rely on; does nothing where the command is alone anyway.
    """

    share: Share | None
    moment: Callable[[], AbstractContextManager[None]]

    def has(self, index: int) -> bool:
        """Whether a shard is this command's to write."""
        return self.share is None or self.share.has(index)


ALONE = Beside(None, nullcontext)


@contextmanager
def side_by_side(folder: str | Path, share: Share, *, doing: str, wait_sec: float = 0.0) -> Iterator[Hold]:
    """Keep single writers, and other jobs of the same share, out of a folder, which need not be there.

    Args:
        folder: that is written.
        share: of its shards.
        doing: name of the command.
        wait_sec: how long to wait for them, in seconds; 0 refuses at once.

    Raises:
        OutputError: one of them writes there, or jobs that cut it into another number of shares; or nobody can.
    """
    folder, deadline = resolved(folder), time.monotonic() + wait_sec
    require_writable(folder)
    lock = lock_of(folder)
    while True:
        with ExitStack() as stack:
            try:
                with _moment(folder, doing, share, max(0.0, deadline - time.monotonic())) as moment:
                    require_no_share(moment, but_of=share.of)
                    own = Hold(folder, share_lock(lock, *share), moment.me)
                    stack.enter_context(holding(own, 0.0))
                    remove_leftovers(folder)
            except OutputError:
                if time.monotonic() >= deadline:
                    raise
            else:
                yield own
                return
        time.sleep(POLL_SEC)  # not while it is held: the others need it to end


@contextmanager
def alone_for_a_moment(folders: Sequence[Path], doing: str, share: Share) -> Iterator[None]:
    """Hold folders that this job has a share of alone; waits while others have their moment."""
    with ExitStack() as stack:
        for folder in map(resolved, sorted(set(folders))):
            stack.enter_context(_moment(folder, doing, share, PATIENCE_SEC))
        yield


@contextmanager
def _moment(folder: Path, doing: str, share: Share, wait_sec: float) -> Iterator[Hold]:
    hold = Hold(folder, lock_of(folder), this_process(f"{doing}{SHARED}{share}"), is_brief=True)
    with holding(hold, wait_sec):
        yield hold
