"""Reading of single samples out of tars, in any order and in any process.

Place in the flow: table of samples, with path, place and size of each -> bytes of one.
Not here: what a tar's headers say (tars.py), and how that is kept (tar_index.py).
"""

import os
from collections import OrderedDict
from dataclasses import dataclass

import pyarrow as pa

from fusemix.disk.regular import open_regular
from fusemix.remote.paths import Opened, Remote
from fusemix.urls import is_url

FILES_KEPT_OPEN = 8


@dataclass(frozen=True)
class TarReader:
    """Reads the bytes of one sample's picture or sound out of its tar."""

    paths: pa.ChunkedArray
    offsets: pa.ChunkedArray
    sizes: pa.ChunkedArray

    def __call__(self, row: int) -> bytes:
        """Bytes of the picture or sound of a row."""
        path, offset, num_bytes = self.paths[row].as_py(), self.offsets[row].as_py(), self.sizes[row].as_py()
        try:
            file = _open(path)
            file.seek(offset)
            content = file.read(num_bytes)
        except OSError:  # a file that was open while its disk was away stays unusable
            _open_files.pop((os.getpid(), path), None)
            raise
        if len(content) < num_bytes:
            raise ValueError(
                f"{path} ends at byte {offset + len(content):,}: it was changed since its headers were read"
            )
        return content


def tar_reader(table: pa.Table) -> TarReader:
    """Reader of what a table's columns `path`, `offset` and `num_bytes` name."""
    return TarReader(table["path"], table["offset"], table["num_bytes"])


_open_files: OrderedDict[tuple[int, str], Opened] = OrderedDict()


def _open(path: str) -> Opened:
    """A file that stays open, one of a few a process; the one that waited longest is closed for a new one.

    Args:
        path: of a tar that a listing of the user's own folder has given, or its URL.
    """
    key = (os.getpid(), path)  # a forked worker must not share its parent's place in a file
    if key not in _open_files:
        _open_files[key] = Remote(path).open() if is_url(path) else open_regular(path)
        while len(_open_files) > FILES_KEPT_OPEN:
            _open_files.popitem(last=False)[1].close()
    _open_files.move_to_end(key)
    return _open_files[key]
