"""Which content the latents of a shard were made from, so that a file replaced by another of equal size is noticed.

Place in the flow: digests taken while reading -> a small file beside each shard -> compared at the next start.
Not here: reading media again (wiring/caching/content.py).

Files:
    content-00000.bin …  two numbers of 64 bits a row, low byte first: digest of what was read of the item, 0 where
                         nothing was or could be; and when its file was last changed, in nanoseconds, 0 without a file
The digests are guarded by a hash in the manifest. The times are a shortcut only: where one differs, the file is read,
and its digest decides.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from fusemix.disk.files import write_atomic
from fusemix.latents.manifest import Shard
from fusemix.latents.shard_rows import ShardRows


class Content(NamedTuple):
    """Of the rows of a shard."""

    digests: UInt64[np.ndarray, " rows"]
    times: UInt64[np.ndarray, " rows"]


def content_of(rows: ShardRows, index: int, digests: Sequence[int] | None) -> Content | None:
    """What the rows of a shard are made from, as they are now; None where nothing is known of that."""
    if rows.times is None and not (digests is not None and any(digests)):
        return None
    times = rows.times_in(index)
    return Content(np.array(digests or [0] * len(times), dtype=np.uint64), times)


def content_name(index: int) -> str:
    """File name of what is known of a shard's content."""
    return f"content-{index:05d}.bin"


def content_sha256(digests: UInt64[np.ndarray, " rows"]) -> str:
    """What guards the digests of a shard."""
    return hashlib.sha256(np.ascontiguousarray(digests, dtype="<u8").tobytes()).hexdigest()


def write_content(folder: Path, index: int, content: Content) -> None:
    """Note what a shard is made from."""
    with write_atomic(folder / content_name(index)) as file:
        file.write(np.column_stack(content).astype("<u8").tobytes())


def read_content(folder: Path, index: int, sha256: str) -> Content | None:
    """What a shard was made from; None where the file is missing, damaged, or not the one of this hash."""
    path = folder / content_name(index)
    numbers = np.frombuffer(path.read_bytes() if path.is_file() else b"", dtype=np.uint8)
    columns = numbers[: len(numbers) // 16 * 16].view("<u8").reshape(-1, 2).astype(np.uint64)
    content = Content(columns[:, 0].copy(), columns[:, 1].copy())
    return content if content_sha256(content.digests) == sha256 else None


def doubtful(
    folder: Path, index: int, shard: Shard, times: UInt64[np.ndarray, " rows"], *, everything: bool
) -> Bool[np.ndarray, " rows"]:
    """Rows of a shard whose files may have changed since.

    Args:
        folder: of the store.
        index: of the shard.
        shard: of the manifest or of its record.
        times: when the files were last changed, as they are now.
        everything: doubt all of them, whatever their times say.
    """
    if shard.content_sha256 is None:  # nothing was noted
        return np.zeros(len(times), dtype=bool)
    known = read_content(folder, index, shard.content_sha256)
    return np.ones(len(times), dtype=bool) if known is None or everything else known.times != times


def changed_places(
    folder: Path, index: int, shard: Shard, now: Content, looked_at: Bool[np.ndarray, " rows"]
) -> Int64[np.ndarray, " places"]:
    """Where in a shard the content is another one; where it is not, the times that were looked at are noted.

    Args:
        folder: of the store.
        index: of the shard, whose content was noted.
        shard: of the manifest or of its record.
        now: digests and times as they are now.
        looked_at: rows whose digest is known now.
    """
    sha256 = str(shard.content_sha256)
    noted = read_content(folder, index, sha256)
    known = noted or Content(*np.zeros((2, len(looked_at)), dtype=np.uint64))
    joined = Content(*(np.where(looked_at, new, old) for new, old in zip(now, known, strict=True)))
    if content_sha256(joined.digests) == sha256:
        if noted is None or (joined.times != known.times).any():
            with suppress(OSError):  # a disk that only reads: they are compared again the next time
                write_content(folder, index, joined)
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(joined.digests != known.digests)
