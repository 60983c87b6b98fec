"""Files that are complete or absent.

Place in the flow: everything that fusemix leaves on disk passes through here.
A file is written under a temporary name in its own folder, flushed, fsynced and renamed,
so a process that dies at any line leaves the old file or the new one, never half of one.
No two writers share a temporary name (fusemix/disk/temporary.py).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from fusemix.disk.temporary import forget, temporary
from fusemix.errors import DamagedFileError

BLOCK_BYTES = 1 << 20
MOST_SHOWN = 200
"""Characters of a value in a list of differences."""


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
        forget(part)
        if error.filename is None or error.filename == str(part):
            error.filename, error.filename2 = str(path), None  # people know this name
        raise
    except BaseException:
        forget(part)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder written down, so that a power cut does not bring old ones back."""
    if os.name != "posix":  # other systems cannot open a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lies_within(path: Path, folder: Path) -> bool:
    """Whether a path stays below a folder, whatever dots and links it holds.

    In the hub's cache, files of a snapshot are links to the blobs beside it; these count as below.
    """
    real, below = path.resolve(), folder.resolve()
    cached = [one.parent.parent for one in (below, *below.parents) if one.parent.name == "snapshots"]
    return any(real.is_relative_to(root) for root in (below, *(cache / "blobs" for cache in cached)))


def remove_file(path: Path) -> None:
    """Delete a file that says something, so that it does not come back after a power cut."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


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


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write an array as numpy does, which by itself hides why a file of the system's could not be written."""
    with write_atomic(path) as file:
        np.save(_NoFileOfTheSystem(file), array, allow_pickle=False)


class _NoFileOfTheSystem:
    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


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
    return [told_difference(*found) for found in differing_fields(recorded, wanted, path)]


def told_difference(name: str, recorded: Any, wanted: Any) -> str:
    """One line for people to read."""
    return f"{name}: on disk {_shown(recorded)}, now {_shown(wanted)}"


def differing_fields(recorded: Any, wanted: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two plain values differ: dotted name of the field, what was recorded, what is wanted."""
    if isinstance(recorded, dict) and isinstance(wanted, dict):
        found: list[tuple[str, Any, Any]] = []
        for key in sorted(recorded.keys() | wanted.keys()):
            below = f"{path}.{key}" if path else str(key)
            found += differing_fields(recorded.get(key), wanted.get(key), below)
        return found
    if _is_list_of_dicts(recorded) and _is_list_of_dicts(wanted) and len(recorded) == len(wanted):
        pairs = enumerate(zip(recorded, wanted, strict=True))
        return [field for place, pair in pairs for field in differing_fields(*pair, f"{path}[{place}]")]
    return [] if recorded == wanted else [(path, recorded, wanted)]


def _is_list_of_dicts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _shown(value: Any) -> str:
    """In full, but for what would fill the screen."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
