"""Who writes in a folder: a small record that its holder keeps up to date, and what others make of it.

Place in the flow: one_writer -> Holder -> a file beside the folder -> other processes and machines.
Clocks are never compared: whether a holder on another machine lives is seen by its heartbeat alone.
"""

import contextlib
import json
import os
import secrets
import shlex
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from fusemix.disk.temporary import boot_id, is_alive

RECORD_BYTES = 4096
"""Of a record, padded, so that it is always written and read in one piece."""
LONGEST_COMMAND = 300


@dataclass(frozen=True)
class Holder:
    """Who writes.

    Attributes:
        doing: name of the fusemix command.
        host, pid, since, command: for people.
        boot: tells this start of this machine from others.
        started: when the process was started, in the kernel's own units; 0 where unknown.
        token: of this hold, and no other.
        beat: grows while the holder lives.
    """

    doing: str
    host: str
    pid: int
    since: str
    command: str
    boot: str
    started: int
    token: str
    beat: int = 0

    def __str__(self) -> str:
        return f"`{self.doing}` (process {self.pid} on {self.host}, since {self.since}: {self.command})"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine since that was started, and its number is known here."""
        return (self.host, self.boot) == (socket.gethostname(), boot_id())

    @property
    def is_gone(self) -> bool:
        """Whether a process of this machine is surely dead; another one may have got its number."""
        if not is_alive(self.pid):
            return True
        started = started_at(self.pid)
        return 0 not in (started, self.started) and started != self.started


def this_process(doing: str) -> Holder:
    """This process as a holder."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return Holder(
        doing=doing,
        host=socket.gethostname(),
        pid=os.getpid(),
        since=datetime.now().astimezone().isoformat(" ", "seconds"),
        command=command if len(command) <= LONGEST_COMMAND else f"{command[:LONGEST_COMMAND]}…",
        boot=boot_id(),
        started=started_at(os.getpid()),
        token=secrets.token_hex(8),
    )


def started_at(pid: int) -> int:
    """When a process was started, in ticks since the kernel was; 0 where that cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0


def read_holder(path: Path) -> Holder | None:
    """What a record says, or None where there is none, or none that can be read yet."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        # Opened again each time: that is when a network file system looks whether the file has changed.
        return Holder(**json.loads(path.read_bytes()))
    return None


def write_holder(path: Path, holder: Holder, *, new: bool = False) -> None:
    """Write a record in place.

    Args:
        path: of the record.
        holder: what it says.
        new: it must not be there yet.

    Raises:
        FileExistsError: it is.
        OSError: it cannot be written.
    """
    text = json.dumps(asdict(holder), ensure_ascii=True).encode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_EXCL if new else 0), 0o644)
    try:
        os.write(handle, text.ljust(RECORD_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass
class Watch:
    """Looks at a record again and again, to see whether its holder's heart beats."""

    _last: tuple[str, int] | None = None
    _since: float = field(default_factory=time.monotonic)
    _has_moved: bool = False

    def look(self, holder: Holder | None) -> None:
        """Note what the record says now."""
        now = (holder.token, holder.beat) if holder else None
        if now != self._last:
            self._has_moved = self._last is not None and now is not None and now[0] == self._last[0]
            self._last, self._since = now, time.monotonic()

    @property
    def still_sec(self) -> float:
        """How long nothing has changed, in seconds."""
        return time.monotonic() - self._since

    @property
    def is_beating(self) -> bool:
        """Whether the present holder has been seen to beat."""
        return self._has_moved
