"""Are latents still those of the files that are there? Looks at the files whose times have changed, or at all of them.

Place in the flow: Items + StoreWriters, opened -> shards that were made from other content are missing ones.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fusemix.datasets.pairs import FileReader
from fusemix.datasets.remote_files import RemoteReader
from fusemix.disk.shares import ALONE, Beside
from fusemix.encoders.content import UNKNOWN, digest_of
from fusemix.interfaces import Items
from fusemix.latents.content import Content, changed_places, doubtful
from fusemix.latents.manifest import Shard
from fusemix.latents.writer import StoreWriter
from fusemix.progress import console, counting

THREADS, ROWS_AT_ONCE = 16, 4096


def forget_replaced(
    folder: Path, items: Items, writers: dict[str, StoreWriter], *, everything: bool, beside: Beside = ALONE
) -> None:
    """Make shards missing ones whose items have another content than the one that was encoded.

    Args:
        folder: of the latent set, for messages.
        items: one side of it.
        writers: of its stores.
        everything: read all media, also those whose times are as they were.
        beside: whose shards are looked at.
    """
    shards = {
        (slug, index): shard
        for slug, writer in writers.items()
        for index, shard in writer.shards().items()
        if beside.has(index)
    }
    found = {
        (slug, i): doubtful(writers[slug].folder, i, shard, writers[slug].rows.times_in(i), everything=everything)
        for (slug, i), shard in shards.items()
    }
    doubts = {key: mask for key, mask in found.items() if mask.any()}
    if everything:
        _tell_what_is_not_known(items, writers)
    if not doubts:
        return
    digests = np.zeros(len(items), dtype=np.uint64)
    rows = np.unique(np.concatenate([writers[s].spans[i].start + np.flatnonzero(m) for (s, i), m in doubts.items()]))
    with counting(f"{folder.name} {items.modality}: comparing files with what was encoded", len(rows)) as advance:
        for at in range(0, len(rows), ROWS_AT_ONCE):
            here = rows[at : at + ROWS_AT_ONCE]
            digests[here] = list(_digests(items, here))
            advance(len(here))
    for slug, writer in writers.items():
        changed = {i: _changed(writer, i, shards[s, i], digests) for s, i in doubts if s == slug}
        changed = {index: rows for index, rows in changed.items() if len(rows)}
        if changed:
            with beside.moment():
                writer.forget(list(changed))
        _tell(items, slug, changed)


def _digests(items: Items, rows: Int64[np.ndarray, " rows"]) -> Iterator[int]:
    """Digest of each row; unknown where it cannot be read, which is no reason to forget its latent."""

    def digest(row: int) -> int:
        with suppress(Exception):  # a data set's own reader may raise anything
            return digest_of(items.read(row))
        return UNKNOWN

    if not isinstance(items.read, FileReader | RemoteReader):  # others may not be used by several threads
        yield from map(digest, rows.tolist())
        return
    with ThreadPoolExecutor(THREADS) as threads:
        yield from threads.map(digest, rows.tolist())


def _changed(writer: StoreWriter, index: int, shard: Shard, digests: np.ndarray) -> Int64[np.ndarray, " rows"]:
    span = writer.spans[index]
    now = Content(digests[span.start : span.stop], writer.rows.times_in(index))
    places = changed_places(writer.folder, index, shard, now, now.digests != UNKNOWN)
    return places + span.start


def _tell(items: Items, slug: str, changed: dict[int, Int64[np.ndarray, " rows"]]) -> None:
    if changed:
        first, count = items.table["id"][int(next(iter(changed.values()))[0])].as_py(), sum(map(len, changed.values()))
        console.print(
            f"  {items.modality}/{slug}: {count:,} items have another content than was encoded, such as {first}. "
            f"{len(changed):,} shards are made again",
            style="yellow",
        )


def _tell_what_is_not_known(items: Items, writers: dict[str, StoreWriter]) -> None:
    for slug, writer in writers.items():
        unknown = sum(shard.content_sha256 is None for shard in writer.shards().values())
        if unknown and items.modality != "text":
            console.print(
                f"  {items.modality}/{slug}: {unknown:,} shards do not say what they were made from, as older ones do "
                "not. Whether a file was replaced by another of equal size cannot be told",
                style="yellow",
            )
