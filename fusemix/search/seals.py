"""What the files of an index were when a command ended, and whether they still are.

Place in the flow: files of the table -> seals.json -> `fusemix verify`.

A file of LanceDB's is written once and never changed, so that only new ones are read when an index grows.
"""

import os
from pathlib import Path
from typing import Any

from fusemix.disk.files import read_json, sha256_of_file, sync_folder, write_json
from fusemix.search.description import INDEX, TABLE, damaged, is_as_written

SEALS = "seals.json"
CHANGING = "latest_version_hint.json"
"""What the table writes over with each change, and finds again by itself."""


def seal(folder: Path) -> None:
    """Note what the files of a table are; those that were noted before are not read again."""
    try:
        before = _read(folder)
    except ValueError:
        before = {}
    write_json(folder / SEALS, {name: before.get(name) or _seal_of(folder / name) for name in _names(folder)})


def problems_of(folder: Path) -> tuple[dict[Path, str], int, int]:
    """Files of an index that are not what they were -> what has become of them; how many are sealed, and how many not.

    Raises:
        IndexFolderError: the seals themselves are damaged.
    """
    try:
        sealed = _read(folder)
    except ValueError as error:
        raise damaged(folder / SEALS, "is damaged") from error
    found = {} if is_as_written(folder) else {folder / INDEX: "does not have the content that it was sealed with"}
    for name, (num_bytes, sha256) in sealed.items():
        path = folder / name
        if not path.is_file():
            found[path] = "is missing"
        elif path.stat().st_size != num_bytes:
            found[path] = f"has {path.stat().st_size:,} bytes, and had {num_bytes:,} when it was sealed"
        elif sha256_of_file(path) != sha256:
            found[path] = "does not have the content that it was sealed with"
    return found, len(sealed), len(set(_names(folder)) - set(sealed))


def _names(folder: Path) -> list[str]:
    files = (path for path in (folder / TABLE).rglob("*") if path.is_file() and path.name != CHANGING)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _seal_of(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        os.fsync(file.fileno())  # which LanceDB leaves to the system
    sync_folder(path.parent)
    return path.stat().st_size, sha256_of_file(path)


def _read(folder: Path) -> dict[str, Any]:
    """Name -> bytes and hash; empty where nothing was sealed.

    Raises:
        ValueError: it is something else.
    """
    path = folder / SEALS
    if not path.is_file():
        return {}
    found = read_json(path)
    if not isinstance(found, dict) or not all(_is_seal(name, one) for name, one in found.items()):
        raise ValueError(f"{path} holds no seals")
    return found


def _is_seal(name: str, one: Any) -> bool:
    is_below = name.startswith(f"{TABLE}/") and ".." not in name.split("/")
    return is_below and isinstance(one, list) and [type(part) for part in one] == [int, str]
