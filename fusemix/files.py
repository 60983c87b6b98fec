"""Files that are complete or absent.

Place in the flow: everything that fusemix leaves on disk passes through here.
A file is written under a temporary name in its own folder, flushed, fsynced and renamed,
so a process that dies at any line leaves the old file or the new one, never half of one.
No two writers share a temporary name, and it says whose it is, so that what a dead one has left can be removed.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

BLOCK_BYTES = 1 << 20
LEFTOVER = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part")
"""A temporary name: host, process, and what makes it unique."""
LONGEST_STEM = 120
"""Characters of a name that its temporary name repeats; file systems take 255 bytes."""


@contextmanager
def write_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for binary writing; it appears under its name only if the block succeeds.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    part = temporary(path)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        _forget(part)
        if error.filename is None or error.filename == str(part):
            error.filename, error.filename2 = str(path), None  # people know this name
        raise
    except BaseException:
        _forget(part)
        raise
    _sync_folder(path.parent)


def _forget(part: Path) -> None:
    with contextlib.suppress(OSError):  # what made the writing fail may make this fail, too
        part.unlink(missing_ok=True)


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
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else _forget(path)
    below = [Path(entry.path) for entry in entries if depth and entry.is_dir(follow_symlinks=False)]
    return len(found) + sum(remove_leftovers(path, depth - 1) for path in below)


def is_leftover(name: str) -> bool:
    """Whether a name is a temporary one, of a process of this machine that is dead."""
    match = LEFTOVER.fullmatch(name)
    return match is not None and match[1] == host_key() and not is_alive(int(match[2]))


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # other systems cannot open a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, complete or not at all."""
    with write_atomic(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    with write_atomic(path) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"))


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; empty lines are passed over."""
    # Not splitlines(): a caption may hold U+2028, which JSON leaves as it is.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_json(data: Any) -> str:
    """SHA-256 of plain data, independent of the order of its keys."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def differences(recorded: Any, wanted: Any, path: str = "") -> list[str]:
    """Where two plain values differ, one line a field, for people to read."""
    if isinstance(recorded, dict) and isinstance(wanted, dict):
        found: list[str] = []
        for key in sorted(recorded.keys() | wanted.keys()):
            below = f"{path}.{key}" if path else str(key)
            found += differences(recorded.get(key), wanted.get(key), below)
        return found
    return [] if recorded == wanted else [f"{path}: on disk {recorded!r}, now {wanted!r}"]
