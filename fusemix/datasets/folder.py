"""The pictures or sounds of a folder, without captions.

Place in the flow: a folder -> Items of one modality, in order of their paths.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from PIL import Image

from fusemix.datasets.pairs import file_reader
from fusemix.errors import DatasetError
from fusemix.interfaces import Items, Rejected
from fusemix.system_names import is_system_name

SOUNDS = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".m4a", ".aac", ".wma")
)
NO_PICTURES = frozenset((".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".hdf", ".h5", ".grib", ".bufr", ".wmf", ".emf"))
"""What PIL lists beside pictures: documents, films and data."""


class Files(NamedTuple):
    """What a folder holds.

    Attributes:
        paths: modality -> paths below the folder, sorted, with `/` between their parts.
        num_others: files that are neither pictures nor sounds, by their names.
        excluded: files whose names cannot be written down.
    """

    paths: dict[str, list[str]]
    num_others: int
    excluded: list[Rejected]


def files_of(folder: Path) -> Files:
    """List the pictures and sounds in a folder and those below it, by the endings of their names.

    Hidden names and those that systems leave behind (`is_system_name`) are passed over, and links to folders are not
    followed.

    Raises:
        DatasetError: there is no such folder.
    """
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}.")
    Image.init()
    pictures = {suffix for suffix in Image.EXTENSION if suffix not in NO_PICTURES}
    found: dict[str, list[str]] = {}
    num_others, excluded = 0, []
    for path in _paths_below(folder):
        if not path.isprintable() and not _is_utf8(path):
            excluded.append(Rejected(ascii(path), "dataset", "the name of the file is not UTF-8; rename it"))
            continue
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  (a Path for each of millions takes its time)
        modality = "image" if suffix in pictures else "audio" if suffix in SOUNDS else None
        if modality:
            found.setdefault(modality, []).append(path)
        else:
            num_others += 1
    return Files({one: sorted(found[one]) for one in ("image", "audio") if one in found}, num_others, excluded)


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:  # the system gave bytes that are none
        return False
    return True


def _paths_below(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_name(name)]
        below = os.path.relpath(parent, folder)
        for name in names:
            if not is_system_name(name):
                path = name if below == "." else os.path.join(below, name)  # noqa: PTH118
                yield path.replace(os.sep, "/")


def items_of(folder: Path, modality: str, paths: list[str]) -> Items:
    """The files at some paths as items; their ids are the paths.

    Args:
        folder: that the paths lie below.
        modality: of all.
        paths: as `files_of` gives them.
    """
    table = pa.table({"id": pa.array(paths, pa.string()), "path": pa.array(paths, pa.string())})
    full = pa.table({"path": pa.array([f"{folder}/{path}" for path in paths], pa.string())})
    return Items(modality, table, file_reader(full))
