"""Pictures and sounds that lie behind a URL: found by one listing of their folder, read one by one.

Place in the flow: names in a caption file, or none -> paths, sizes and states of files -> bytes of one.
Not here: files of this machine (captioned_files.py, folder.py), and tars (tar_reader.py).

A name is looked up in what was listed below the folder, so none leads out of it.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from fusemix.remote import Remote


@dataclass(frozen=True)
class RemoteReader:
    """Reads the bytes of the file behind an item; several threads may."""

    urls: pa.ChunkedArray

    def __call__(self, row: int) -> bytes:
        """Bytes of the file of a row."""
        return Remote(self.urls[row].as_py()).read_bytes()


def remote_reader(table: pa.Table) -> RemoteReader:
    """Reader of the files whose URLs a table's column `path` holds, which a listing has given."""
    return RemoteReader(table["path"])


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
