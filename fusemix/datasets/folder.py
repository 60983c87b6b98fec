"""The pictures or sounds of a folder, without captions.

Place in the flow: a folder -> Items of one modality, in order of their paths.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fusemix.datasets.endings import endings
from fusemix.datasets.remote_files import RemoteWalk, read_below_url
from fusemix.datasets.walking import Walk, told
from fusemix.disk.regular import read_below
from fusemix.errors import DatasetError
from fusemix.interfaces import Items, Rejected
from fusemix.remote.paths import Remote


class Files(NamedTuple):
    """What a folder holds.

    Attributes:
        paths: modality -> paths below the folder, sorted, with `/` between their parts.
        num_others: files that are neither pictures nor sounds, by their names.
        excluded: files whose names cannot be written down, pictures and sounds that are no regular files or lie
            elsewhere, and folders that were not looked into.
    """

    paths: dict[str, list[str]]
    num_others: int
    excluded: list[Rejected]


@dataclass(frozen=True)
class BelowReader:
    """Reads the bytes of files in a folder; arguments as for `items_of`."""

    folder: Path | Remote
    paths: pa.ChunkedArray
    follow_links: bool

    def __call__(self, row: int) -> bytes:
        """Bytes of the file of a row."""
        if isinstance(self.folder, Remote):
            return read_below_url(self.folder, self.paths[row].as_py())
        return read_below(self.folder, self.paths[row].as_py(), follow_links=self.follow_links)


def files_of(folder: Path | Remote, *, follow_links: bool = False) -> Files:
    """List the pictures and sounds in a folder and those below it, by the endings of their names.

    Hidden names and those that systems leave behind (`is_system_name`) are passed over. Links within the folder are
    files like others.

    Args:
        folder: to look into.
        follow_links: take what links to folders, and links that lead out, lead to; each folder once.

    Raises:
        DatasetError: there is no such folder, or it cannot be read.
    """
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}.")
    found: dict[str, list[str]] = {}
    walk = Walk(folder, follow_links) if isinstance(folder, Path) else RemoteWalk(folder)
    num_others, excluded = 0, list(walk.folders)
    for path in (*walk.files, *walk.odd):
        modality = _modality_of(path)
        if told(path) != path:
            excluded.append(Rejected(told(path), "dataset", "the name of the file is not UTF-8; rename it"))
        elif modality is None:
            num_others += 1
        elif path in walk.odd:
            excluded.append(Rejected(path, "dataset", walk.odd[path]))
        else:
            found.setdefault(modality, []).append(path)
    paths = {one: sorted(found[one]) for one in ("image", "audio") if one in found}
    return Files(paths, num_others, sorted(excluded))


def _modality_of(path: str) -> str | None:
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a Path for each of millions takes its time
    return next((modality for modality in ("image", "audio") if suffix in endings(modality)), None)


def items_of(folder: Path | Remote, modality: str, paths: list[str], *, follow_links: bool = False) -> Items:
    """The files at some paths as items; their ids are the paths.

    Args:
        folder: that the paths lie below.
        modality: of all.
        paths: as `files_of` gives them.
        follow_links: read what links that lead out of the folder lead to.
    """
    table = pa.table({"id": pa.array(paths, pa.string()), "path": pa.array(paths, pa.string())})
    return Items(modality, table, BelowReader(folder, table["path"], follow_links))
