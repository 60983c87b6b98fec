"""One writer at a time in a folder, on one machine or on many.

Place in the flow: a command that writes into `out` -> one_writer(out) -> nobody else writes there meanwhile.

Beside the folder, which may be renamed or removed meanwhile, lie

    .NAME.lock         locked by the operating system: exact among the processes of a machine
    .NAME.lock.json    who holds it, with a heartbeat: for other machines, since some network file systems lock only
                       within a machine, or not at all

Both are removed at the end. What a killed holder leaves is taken over: at once on its own machine, which knows that the
process is gone, and from another one when its heart has stood still for a while.
"""

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from fusemix.disk.holders import Holder, Watch, read_holder, this_process, write_holder
from fusemix.disk.out_folder import CLOSED, lock_of, record_of, require_writable, resolved, share_locks
from fusemix.disk.temporary import remove_leftovers
from fusemix.errors import OutputError, sentence_of
from fusemix.progress import console

BEAT_SEC = 5.0
"""From one heartbeat to the next."""
SILENT_SEC = 60.0
"""A holder on another machine whose heart stands still for so long is dead."""
POLL_SEC = 0.25
SHARED = " part="
"""In what a job with a share of the folder says of itself."""
UNKNOWN_SEC = 2.0
"""So long a new holder may take to say who it is."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""A file system without locks: the record must do."""


@dataclass
class Hold:
    """A folder that is held.

    Attributes:
        folder: resolved.
        lock: the first of the two files.
        me: what the record says.
        system: the operating system's lock; None where the file system has none.
        is_brief: for a moment, by a job with a share (shares.py), which waits while other such jobs have theirs.
        is_lost: another machine has taken this process for dead, and the folder over.
    """

    folder: Path
    lock: Path
    me: Holder
    system: FileLock | None = None
    is_brief: bool = False
    is_lost: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def record(self) -> Path:
        """The second file, which says who holds it."""
        return record_of(self.lock)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Say, from time to time, that this process lives; clean up at the end."""
        thread = threading.Thread(target=self._beat, name="fusemix-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(BEAT_SEC)
            if os.getpid() == self.me.pid:  # a forked child may come by
                self.release()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SEC):
            self.me = replace(self.me, beat=self.me.beat + 1)
            with contextlib.suppress(OSError):  # a passing one; the next beat comes soon
                found = read_holder(self.record)
                if found and found.token != self.me.token:
                    self.is_lost = True
                    # A shell's background jobs do not hear the first.
                    heard = callable(signal.getsignal(signal.SIGINT))
                    os.kill(os.getpid(), signal.SIGINT if heard else signal.SIGTERM)
                    return
                write_holder(self.record, self.me)

    def release(self) -> None:
        """Give it back, unless somebody else has it."""
        with contextlib.suppress(OSError):
            found = read_holder(self.record)
            if found is None or found.token == self.me.token:
                self.record.unlink(missing_ok=True)
                self.lock.unlink(missing_ok=True)  # while it is locked: who has opened it sees that it is gone
        if self.system:
            self.system.release()


@contextmanager
def one_writer(folder: str | Path, *, doing: str, wait_sec: float = 0.0) -> Iterator[Hold]:
    """Keep all other writers out of a folder, which need not be there; that it can be written is tried.

    Several spellings of one folder are one lock.

    Args:
        folder: that is written.
        doing: name of the command.
        wait_sec: how long to wait for another writer, in seconds; 0 refuses at once.

    Raises:
        OutputError: another process writes there, or nobody can.
    """
    folder, deadline = resolved(folder), time.monotonic() + wait_sec
    made = require_writable(folder)
    try:
        while True:
            with holding(_hold(folder, doing), max(0.0, deadline - time.monotonic())) as hold:
                try:
                    require_no_share(hold)
                except OutputError:
                    if time.monotonic() >= deadline:
                        raise
                else:
                    remove_leftovers(folder)
                    yield hold
                    return
            time.sleep(POLL_SEC)  # not while it is held: these jobs need it to end
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # something is in it, as there should be
                path.rmdir()


def _hold(folder: Path, doing: str) -> Hold:
    try:
        return Hold(folder, lock_of(folder), this_process(doing))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {sentence_of(error)}") from error


@contextmanager
def holding(hold: Hold, wait_sec: float) -> Iterator[Hold]:
    """Take a lock, say that its holder lives, and give it back; arguments and errors as for `one_writer`."""
    try:
        _take(hold, wait_sec)
    except OSError as error:
        raise OutputError(f"{hold.folder} cannot be written: {sentence_of(error)}") from error
    try:
        with hold.beating():
            yield hold
    except BaseException:
        if not hold.is_lost:
            raise
    if hold.is_lost:
        raise OutputError(
            f"{hold.folder} is written by {read_holder(hold.record) or 'another process'} now: this process stood "
            "still for so long that it was taken for dead. When the other has ended, give the same command again."
        )


def require_no_share(hold: Hold, but_of: int = 0) -> None:
    """Refuse to write in a folder that is held while jobs that live have shares of it; what dead ones left is removed.

    Args:
        hold: of the folder: nobody else gets a share meanwhile.
        but_of: jobs that cut it into so many shares do no harm.

    Raises:
        OutputError: there is one.
    """
    for lock, of in share_locks(hold.lock).items():
        if of != but_of:
            other = Hold(hold.folder, lock, this_process(hold.me.doing))
            _take(other, 0.0)
            other.release()


def _take(hold: Hold, wait_sec: float) -> None:
    watch, deadline, has_told = Watch(), time.monotonic() + wait_sec, False
    while not _try(hold, watch):
        holder = read_holder(hold.record)
        if hold.is_brief and holder and SHARED in holder.doing:
            time.sleep(POLL_SEC)
            continue
        if _is_certain(holder, watch):
            if time.monotonic() >= deadline:
                if holder is None and _try(hold, watch):  # it was found silent for long enough only now
                    return
                raise _refusal(hold.folder, holder)
            if not has_told:
                console.print(f"waiting until {hold.folder} is free: {holder or 'another process'} writes there")
                has_told = True
        elif holder and not has_told and watch.still_sec > BEAT_SEC:
            what = f"what is left of {holder} lets go of" if holder.is_here else f"{holder} still lives, which wrote in"
            console.print(f"looking for {SILENT_SEC:.0f} s whether {what} {hold.folder}")
            has_told = True
        time.sleep(POLL_SEC)


def _try(hold: Hold, watch: Watch) -> bool:
    """One attempt to get both the system's lock and the record."""
    hold.system, is_free = _system_lock(hold.lock)
    holder = read_holder(hold.record)
    watch.look(holder)
    if is_free:
        try:
            write_holder(hold.record, hold.me, new=True)
            return True
        except FileExistsError:
            if _take_over(hold, holder, watch):
                return True
    elif holder and (not holder.is_here or holder.is_gone) and watch.still_sec > SILENT_SEC:
        hold.lock.unlink(missing_ok=True)  # of a machine or a process that is gone: nobody else can give it back
    if hold.system:
        hold.system.release()
    return False


def _system_lock(path: Path) -> tuple[FileLock | None, bool]:
    """The operating system's lock, where it has any; and whether nothing that it knows is in the way."""
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None, False
    except OSError as error:
        if error.errno in NO_LOCKS or (error.errno in CLOSED and path.exists()):  # or it is another user's
            return None, True
        if error.errno in (errno.ESTALE, errno.ENOENT):  # being removed on another machine
            return None, False
        raise
    return lock, True


def _take_over(hold: Hold, holder: Holder | None, watch: Watch) -> bool:
    """Replace the record of a holder that is dead."""
    if holder is None:
        is_dead = watch.still_sec > UNKNOWN_SEC  # killed before it could say who it is
    elif holder.is_here:
        is_dead = hold.system is not None or holder.is_gone
    else:
        is_dead = watch.still_sec > SILENT_SEC
    if not is_dead:
        return False
    write_holder(hold.record, hold.me)
    if holder and not holder.is_here:
        time.sleep(BEAT_SEC)  # a third machine may have done the same; the last one has it
        found = read_holder(hold.record)
        if found is None or found.token != hold.me.token:
            return False
    if holder:
        console.print(f"{hold.folder} is free: what wrote there has ended without a word, {holder}")
    return True


def _is_certain(holder: Holder | None, watch: Watch) -> bool:
    """Whether the holder surely lives; called where the folder could not be locked."""
    if holder is None:
        return watch.still_sec > UNKNOWN_SEC
    if holder.is_here:
        return not holder.is_gone  # else what it had started holds the lock, or somebody who has not said so yet
    return watch.is_beating


def _refusal(folder: Path, holder: Holder | None) -> OutputError:
    return OutputError(
        f"{folder} is being written by another process: {holder or 'it has not said which'}. Wait until that has ended "
        "and give the same command again, choose another out, or let this command wait for it, here for an hour at "
        "most: wait_sec=3600."
    )
