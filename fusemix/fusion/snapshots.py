"""Checkpoints that are written while training goes on, from copies of what is in them.

Place in the flow: a checkpoint in the device's memory -> a copy in the host's -> one file or two.

Not each state is written: once a minute the newest best one and the newest one are, and the others give way in memory.
What waits is written when training ends, in whatever way it can take notice of. Where one state is the best and the
last one, it is taken apart once and its file is copied: with a link, what damages one of them would damage both.
"""

import copy
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from fusemix.disk.files import write_atomic
from fusemix.fusion.checkpoints import LAST

EVERY_SEC = 60.0
"""From one writing to the next, while training goes on."""
COPIED_AT_ONCE = 1 << 20


class Snapshot:
    """A state of training in the host's memory, and the names that it is to have.

    Args:
        key: epoch and step, which tell it from others.
        content: plain data and tensors of its own.
    """

    def __init__(self, key: tuple[int, int], content: Any) -> None:
        self.key, self.content = key, content
        self.paths: list[Path] = []

    def write(self) -> None:
        """Write a file, and copies of it under the further names.

        Raises:
            OSError: it cannot be written; names the path, where the file that was there is as it was.
        """
        first, *others = self.paths
        with write_atomic(first) as file:
            _save(self.content, file)
        for path in others:
            with write_atomic(path) as file, first.open("rb") as written:
                shutil.copyfileobj(written, file, COPIED_AT_ONCE)


class Buffers:
    """Memory of copies that are no longer needed: fresh memory of a GB takes seconds, and old one a tenth of that."""

    def __init__(self) -> None:
        self._free: dict[tuple[torch.Size, torch.dtype], list[Tensor]] = defaultdict(list)

    @torch.no_grad()
    def copied(self, value: Any) -> Any:
        """A copy that shares nothing with what training changes; tensors in the host's memory."""
        if isinstance(value, Tensor):
            free = self._free[value.shape, value.dtype]
            return (free.pop() if free else torch.empty(value.shape, dtype=value.dtype)).copy_(value)
        if isinstance(value, dict):
            return {key: self.copied(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.copied(item) for item in value)
        return copy.deepcopy(value)

    def give_back(self, value: Any) -> None:
        """Take the memory of a copy."""
        if isinstance(value, Tensor):
            self._free[value.shape, value.dtype].append(value)
        elif isinstance(value, dict | list | tuple):
            for item in value.values() if isinstance(value, dict) else value:
                self.give_back(item)


class Writer:
    """Writes snapshots in a thread of its own, the newest of each name.

    Args:
        every_sec: least time from one writing to the next.
        now: the time, in seconds.
    """

    def __init__(self, every_sec: float = EVERY_SEC, now: Callable[[], float] = time.monotonic) -> None:
        self._every_sec, self._now = every_sec, now
        self._waiting: list[Snapshot] = []
        self._buffers = Buffers()
        self._thread: ThreadPoolExecutor | None = None
        self._writing: tuple[list[Snapshot], Future[None]] | None = None
        self._begun = float("-inf")

    def take(self, key: tuple[int, int], content: Any, path: Path) -> None:
        """Copy a state that is to be saved under a name; with another name, the same state is not copied again.

        Raises:
            OSError: an earlier one could not be written.
            KeyboardInterrupt, SystemExit: as it came; the state is saved all the same.
        """
        self._look(wait=False)
        self._withdraw(path)  # the memory of an older one serves the new one
        if self._waiting and self._waiting[-1].key == key:
            self._waiting[-1].paths.append(path)
            return
        try:
            self._wait(Snapshot(key, self._buffers.copied(content)), path)
        except (KeyboardInterrupt, SystemExit):  # the older one is gone, and nothing trains meanwhile
            self._wait(Snapshot(key, self._buffers.copied(content)), path)
            raise

    def _wait(self, snapshot: Snapshot, path: Path) -> None:
        snapshot.paths.append(path)
        self._waiting.append(snapshot)

    def write_if_due(self) -> None:
        """Begin to write what waits, where that is due and nothing else is being written."""
        if self._writing is None and self._now() - self._begun >= self._every_sec:
            self._begin()

    def finish(self) -> None:
        """Write what waits, and wait for it.

        Raises:
            OSError: something could not be written.
        """
        try:
            self._look(wait=True)
            if self._waiting:
                self._begin()
                self._look(wait=True)
        finally:
            if self._thread is not None:
                self._thread.shutdown()
            self._thread, self._buffers, self._waiting = None, Buffers(), []

    def _withdraw(self, path: Path) -> None:
        for snapshot in self._waiting:
            if path in snapshot.paths:
                snapshot.paths.remove(path)
        for snapshot in [one for one in self._waiting if not one.paths]:
            self._waiting.remove(snapshot)
            self._buffers.give_back(snapshot.content)

    def _begin(self) -> None:
        self._begun = self._now()
        self._thread = self._thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="fusemix-checkpoint")
        # The last one knows which is the best, so that one comes first.
        snapshots = sorted(self._waiting, key=lambda one: any(path.name == LAST for path in one.paths))
        self._waiting = []
        self._writing = snapshots, self._thread.submit(_write_all, snapshots)

    def _look(self, *, wait: bool) -> None:
        if self._writing and (wait or self._writing[1].done()):
            (snapshots, future), self._writing = self._writing, None
            future.result()
            for snapshot in snapshots:
                self._buffers.give_back(snapshot.content)


def _write_all(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        snapshot.write()


def _save(content: Any, file: IO[bytes]) -> None:
    """As torch does, which by itself hides why a file could not be written."""
    told = _Told(file)
    try:
        torch.save(content, told)  # pyright: ignore[reportArgumentType]: it has what is asked of a file
    except Exception:
        if told.error is not None:
            raise told.error from None
        raise


class _Told:
    """A file, and the first error that it gave."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.flush = file, file.flush
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, and remember why not."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise
