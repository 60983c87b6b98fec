"""Pictures and sounds that lie behind a URL: found by one listing of their folder, read one by one.

Place in the flow: a folder, and perhaps names in a caption file -> paths, sizes and states of files -> bytes of one.
Not here: files of this machine (captioned_files.py, folder.py), and tars (tar_reader.py).

A name is looked up in what was listed below the folder, so none leads out of it.
"""

import errno
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from fusemix.disk.system_names import is_system_name
from fusemix.interfaces import Rejected
from fusemix.remote.paths import Remote


@dataclass(frozen=True)
class RemoteReader:
    """Reads the bytes of the file behind an item; several threads may."""

    urls: pa.ChunkedArray
    sizes: pa.ChunkedArray

    def __call__(self, row: int) -> bytes:
        """Bytes of the file of a row."""
        return Remote(self.urls[row].as_py()).read_bytes(self.sizes[row].as_py())


def remote_reader(table: pa.Table) -> RemoteReader:
    """Reader of files whose URLs and sizes a table's columns `path` and `num_bytes` hold, as a listing gave them."""
    return RemoteReader(table["path"], table["num_bytes"])


def read_below_url(folder: Remote, path: str) -> bytes:
    """Content of a file in a folder behind a URL.

    Args:
        folder: that it must lie in.
        path: below it, with `/` between its parts.

    Raises:
        OSError: it cannot be read, or does not lie there (EINVAL).
    """
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise OSError(errno.EINVAL, "it does not lie in the folder", f"{folder}/{path}")
    return (folder / path).read_bytes()


class RemoteWalk:
    """What was found below a folder behind a URL, by one listing; there are no links, and nothing but files.

    Attributes:
        files: paths below it, without hidden names and those that systems leave behind.
        odd, folders: as of a `Walk`; empty.
    """

    def __init__(self, folder: Remote) -> None:
        self.files = [path for path in folder.below() if not any(map(is_system_name, path.split("/")))]
        self.odd: dict[str, str] = {}
        self.folders: list[Rejected] = []


def listed(folder: Remote, names: Iterator[str]) -> Iterator[tuple[str, tuple[str, int, int] | None]]:
    """What is known of each name: URL, number of bytes, and state; None where there is no such file.

    Args:
        folder: behind a URL.
        names: of files, relative to it.
    """
    found = folder.below()
    for name in names:
        forms = (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
        form = next((form for form in forms if form in found), None)
        yield name, None if form is None else (f"{folder}/{form}", found[form].st_size, found[form].st_mtime_ns)
