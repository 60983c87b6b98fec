"""Names of files that are not finished yet, and the end of those that never will be.

Place in the flow: files.py writes under such a name, and who has a folder alone removes what dead writers left.
No two writers share a name, and it says whose it is.
"""

import contextlib
import glob
import hashlib
import os
import re
import secrets
import shutil
import socket
from functools import cache
from pathlib import Path

LEFTOVER = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part")
"""A temporary name: host, process, and what makes it unique."""
LONGEST_STEM = 50
"""Characters of a name that its temporary name repeats; file systems take 255 bytes."""


def temporary(path: Path) -> Path:
    """A name beside `path`, for what is going to stand there, that nobody else has."""
    return path.with_name(f".{path.name[:LONGEST_STEM]}.{host_key()}-{os.getpid()}-{secrets.token_hex(4)}.part")


@cache
def host_key() -> str:
    """Tells this machine, as long as it is up, from others; eight hexadecimal digits."""
    return hashlib.sha256(f"{socket.gethostname()} {boot_id()}".encode()).hexdigest()[:8]


@cache
def boot_id() -> str:
    """Of this start of this kernel, and of the processes that are seen from here; empty where a system has none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - no path: pid:[4026531836]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's, or nobody can say
    return True


def remove_leftovers(folder: Path, depth: int = 2) -> int:
    """Remove what writers of this machine that are dead have left half written.

    Args:
        folder: to look into; it need not be there.
        depth: how far below it.

    Returns:
        How many there were.
    """
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.is_symlink()]
    except OSError:
        return 0
    found = [Path(entry.path) for entry in entries if is_leftover(entry.name)]
    for path in found:
        _remove(path)
    below = [Path(entry.path) for entry in entries if depth and entry.is_dir(follow_symlinks=False)]
    return len(found) + sum(remove_leftovers(path, depth - 1) for path in below)


def forget_leftovers_of(path: Path) -> None:
    """Remove what dead writers of one file or folder have left beside it."""
    for entry in path.parent.glob(f".{glob.escape(path.name[:LONGEST_STEM])}.*.part"):
        if is_leftover(entry.name):
            _remove(entry)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else forget(path)


def is_leftover(name: str) -> bool:
    """Whether a name is a temporary one, of a process of this machine that is dead."""
    match = LEFTOVER.fullmatch(name)
    return match is not None and match[1] == host_key() and not is_alive(int(match[2]))


def forget(part: Path) -> None:
    """Remove a file of this process's own that was not finished."""
    with contextlib.suppress(OSError):  # what made the writing fail may make this fail, too
        part.unlink(missing_ok=True)
