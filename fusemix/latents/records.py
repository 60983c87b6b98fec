"""What a latent store says of itself while it is being written.

Place in the flow: writer.py writes these files shard by shard, and clears them when it has sealed the store.

Files:
    started.json         the fingerprint of what is being written, and the batch size it was begun with
    latents-00000.json … hash and rejected items of a finished shard, written after it
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fusemix.files import read_json, read_jsonl, write_json
from fusemix.interfaces import Rejected
from fusemix.latents.manifest import MANIFEST, QUARANTINE, STARTED, Manifest, Shard, shard_name


class Started(NamedTuple):
    """What a store was begun with; `batch_size` is None until it is known."""

    fingerprint: dict[str, Any]
    batch_size: int | None


class Record(NamedTuple):
    """A finished shard, and the items in it that have no latent."""

    shard: Shard
    rejected: list[Rejected]


def read_started(folder: Path) -> Started | None:
    """What an unsealed store was begun with, or None where none was."""
    path = folder / STARTED
    return Started(**read_json(path)) if path.is_file() else None


def write_started(folder: Path, started: Started) -> None:
    """Begin a store."""
    write_json(folder / STARTED, started._asdict())


def record_path(folder: Path, index: int) -> Path:
    """Where the record of a shard stands."""
    return (folder / shard_name(index)).with_suffix(".json")


def read_record(folder: Path, index: int) -> Record | None:
    """Record of a shard, or None while it is not finished."""
    path = record_path(folder, index)
    if not path.is_file():
        return None
    data = read_json(path)
    rejected = [Rejected(**row) for row in data.pop("rejected")]
    return Record(Shard(**data), rejected)


def write_record(folder: Path, index: int, record: Record) -> None:
    """Say that a shard is finished."""
    rejected = [item._asdict() for item in record.rejected]
    write_json(record_path(folder, index), {**record.shard._asdict(), "rejected": rejected})


def read_quarantine(folder: Path) -> list[Rejected]:
    """Items of a sealed store that have no latent."""
    path = folder / QUARANTINE
    return [Rejected(**row) for row in read_jsonl(path)] if path.is_file() else []


def rows_of(ids: pa.ChunkedArray, wanted: Sequence[str]) -> np.ndarray:
    """Rows of some ids."""
    found = pc.index_in(pa.array(wanted, ids.type), value_set=ids.combine_chunks())  # pyright: ignore[reportAttributeAccessIssue]
    return found.to_numpy(zero_copy_only=False)


def unseal(folder: Path, manifest: Manifest, ids: pa.ChunkedArray, damaged: Sequence[int]) -> None:
    """Turn a sealed store into an unfinished one that lacks only its damaged shards.

    Killed at any line, it leaves the sealed store or the unfinished one.
    """
    rejected = read_quarantine(folder)
    shard_of = rows_of(ids, [item.id for item in rejected]) // manifest.shard_size
    for index, shard in enumerate(manifest.shards):
        if index not in damaged:
            here = [rejected[i] for i in np.flatnonzero(shard_of == index)]
            write_record(folder, index, Record(shard, here))
        else:
            record_path(folder, index).unlink(missing_ok=True)
    write_started(folder, Started(manifest.fingerprint, manifest.batch_size))
    (folder / MANIFEST).unlink()
