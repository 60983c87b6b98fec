"""Which content the latents of a shard were made from, so that a file replaced by another of equal size is noticed.

Place in the flow: digests taken while reading -> a small file beside each shard -> compared at the next start.
Not here: reading media again (build/content.py).

Files:
    content-00000.npy …  (rows, 2) uint64: digest of what was read of the item, 0 where nothing was or could be;
                         and when its file was last changed, in nanoseconds, 0 where there is no file
The digests are guarded by a hash in the manifest. The times are a shortcut only: where one differs, the file is read,
and its digest decides.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64

from fusemix.files import write_atomic


class Content(NamedTuple):
    """Of the rows of a shard."""

    digests: UInt64[np.ndarray, " rows"]
    times: UInt64[np.ndarray, " rows"]


def content_name(index: int) -> str:
    """File name of what is known of a shard's content."""
    return f"content-{index:05d}.npy"


def content_sha256(digests: UInt64[np.ndarray, " rows"]) -> str:
    """What guards the digests of a shard."""
    return hashlib.sha256(np.ascontiguousarray(digests, dtype="<u8").tobytes()).hexdigest()


def write_content(folder: Path, index: int, content: Content) -> None:
    """Note what a shard is made from."""
    with write_atomic(folder / content_name(index)) as file:
        np.save(file, np.column_stack(content).astype("<u8"), allow_pickle=False)


def read_content(folder: Path, index: int, sha256: str) -> Content | None:
    """What a shard was made from; None where the file is missing, damaged, or not the one of this hash."""
    try:
        columns = np.load(folder / content_name(index), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if columns.ndim != 2 or columns.shape[1] != 2 or columns.dtype != np.uint64:
        return None
    content = Content(columns[:, 0].copy(), columns[:, 1].copy())
    return content if content_sha256(content.digests) == sha256 else None
