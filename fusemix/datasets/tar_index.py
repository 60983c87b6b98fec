"""The header pass over a tar, kept in the user's cache; and the reading of single samples out of tars.

Place in the flow: tar -> table of its samples, quick the second time -> bytes of one sample.
Not here: what a tar's headers say (tars.py).

The cache may be deleted at any time. A tar that was changed, moved or replaced is read anew.
"""

import contextlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from fusemix.datasets.tars import MEDIA_ENDINGS, SCHEMA, scan_tar
from fusemix.files import sha256_of_json, write_atomic
from fusemix.own_code import user_cache
from fusemix.regular import open_regular
from fusemix.temporary import forget_leftovers_of

VERSION = 4
"""Counted up when scan_tar gives something else for the same tar."""
FILES_KEPT_OPEN = 8


def tar_table(path: Path, modality: str) -> pa.Table:
    """What `scan_tar` gives, from the cache where the tar has not changed since."""
    state = path.stat()
    key = [str(path.absolute()), state.st_size, state.st_mtime_ns, modality, MEDIA_ENDINGS[modality], VERSION]
    cached = user_cache() / "tars" / f"{sha256_of_json(key)[:32]}.parquet"
    # Anything may have happened to a cache; it is only a shortcut.
    with contextlib.suppress(OSError, pa.ArrowException):
        table = pq.read_table(cached)
        if table.schema.equals(SCHEMA):
            return table
    table = scan_tar(path, modality)
    with contextlib.suppress(OSError):  # a home that cannot be written to
        cached.parent.mkdir(parents=True, exist_ok=True)
        forget_leftovers_of(cached)
        with write_atomic(cached) as file:
            pq.write_table(table, file)
    return table


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


_open_files: OrderedDict[tuple[int, str], IO[bytes]] = OrderedDict()


def _open(path: str) -> IO[bytes]:
    """A file that stays open, one of a few a process; the one that waited longest is closed for a new one."""
    key = (os.getpid(), path)  # a forked worker must not share its parent's place in a file
    if key not in _open_files:
        _open_files[key] = open_regular(path)
        while len(_open_files) > FILES_KEPT_OPEN:
            _open_files.popitem(last=False)[1].close()
    _open_files.move_to_end(key)
    return _open_files[key]
