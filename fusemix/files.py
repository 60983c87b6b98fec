"""Files that are complete or absent.

Place in the flow: everything that fusemix leaves on disk passes through here.
A file is written under a temporary name in its own folder, flushed, fsynced and renamed,
so a process that dies at any line leaves the old file or the new one, never half of one.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fusemix.errors import DamagedFileError

BLOCK_BYTES = 1 << 20


@contextmanager
def write_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for binary writing; it appears under its name only if the block succeeds."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


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
    """Read one JSON file.

    Raises:
        DamagedFileError: it is none.
    """
    return _parsed(path, path.read_bytes(), "")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; empty lines are passed over.

    Raises:
        DamagedFileError: a line is none.
    """
    # Not splitlines(): a caption may hold U+2028, which JSON leaves as it is.
    lines = enumerate(path.read_bytes().split(b"\n"), start=1)
    rows = [_parsed(path, line, f", line {number},") for number, line in lines if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise DamagedFileError(f"{path} is damaged: a line is no JSON object.")
    return rows


def _parsed(path: Path, raw: bytes, where: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}{where} is damaged: it is not JSON ({error}).") from error


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
