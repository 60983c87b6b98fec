"""The folder that a command writes: whether it can be written, and where the files of its lock lie.

Place in the flow: out -> locks.py, and whoever asks whether there is anything in a folder.
"""

import errno
import hashlib
import os
import re
from pathlib import Path

from fusemix.disk.temporary import temporary
from fusemix.errors import OutputError, sentence_of

LONGEST_NAME = 200
"""Bytes of a folder's name that fit into the name of its lock; file systems take 255."""
INSIDE = ".fusemix.lock"
"""Name of the lock within the folder, where its parent cannot be written."""
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def is_empty(folder: Path) -> bool:
    """Whether nothing is in a folder but, perhaps, its own lock."""
    return all(path.name in (INSIDE, f"{INSIDE}.json") for path in folder.iterdir())


def resolved(folder: str | Path) -> Path:
    """A folder by the one name that all spellings of it share.

    Raises:
        OutputError: its links lead in a circle, or nowhere.
    """
    folder = Path(folder)
    try:
        found = folder.resolve()
        astray = [path for path in (folder, *folder.parents) if path.is_symlink() and not path.exists()]
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{folder} cannot be written: {error}. Choose another out.") from error
    if astray:  # no folder can be made where a link stands
        raise OutputError(
            f"{folder} cannot be written: {astray[0]} is a link to {astray[0].readlink()}, which is not there. Make "
            "that, or choose another out."
        )
    return found


def require_writable(folder: Path) -> list[Path]:
    """Try whether a folder can be written.

    Args:
        folder: resolved.

    Returns:
        Folders above it that had to be made, the innermost first.

    Raises:
        OutputError: it cannot.
    """
    made: list[Path] = []
    try:
        if folder.exists():
            if not folder.is_dir():
                raise OutputError(f"{folder} is a file, but out must name a folder. Choose another out.")
            _write_nothing(folder)
        else:
            missing = [path for path in folder.parents if not path.exists()]
            for path in reversed(missing):
                path.mkdir(exist_ok=True)
                made.insert(0, path)
            _write_nothing(folder.parent)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {sentence_of(error)} Choose another out.") from error
    return made


def _write_nothing(folder: Path) -> None:
    probe = temporary(folder / "probe")
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        error.filename = str(folder)  # people know this name
        raise
    probe.unlink()


def lock_of(folder: Path) -> Path:
    """Where the lock of a resolved folder lies: beside it, or in it where nothing can be written beside it."""
    if not folder.name:
        return folder / INSIDE
    name = folder.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    try:
        _write_nothing(folder.parent)
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        return folder / INSIDE
    return folder.with_name(f".{name}.lock")


def share_lock(lock: Path, number: int, of: int) -> Path:
    """Where the lock of a job lies that has the `number`-th of so many shares of a folder, beside the folder's own."""
    return lock.with_name(f"{lock.name.removesuffix('.lock')}.part-{number}-of-{of}.lock")


def share_locks(lock: Path) -> dict[Path, int]:
    """Locks of such jobs that are there, each with the number of shares that its folder is cut into."""
    start = re.escape(lock.name.removesuffix(".lock"))
    name = re.compile(rf"({start}\.part-\d+-of-(\d+)\.lock)(?:\.json)?", re.ASCII)
    with os.scandir(lock.parent) as entries:
        found = [match for entry in entries if (match := name.fullmatch(entry.name))]
    return {lock.with_name(match[1]): int(match[2]) for match in found}


def record_of(lock: Path) -> Path:
    """Where it is said who holds a lock."""
    return lock.with_name(f"{lock.name}.json")
