"""What a latent store says of itself while it is being written.

Place in the flow: writer.py writes these files shard by shard, and clears them when it has sealed the store.

Files:
    started.json         the fingerprint of what is being written, and the batch size it was begun with
    latents-00000.json … hash and rejected items of a finished shard, written after it, and the hash of the fingerprint
                         that it was made under: a record of another one does not count, wherever it came from
    part-00003-00000.parquet …   some rows of a shard that is not finished (parts.py)
"""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fusemix.disk.discarding import Owned, says
from fusemix.disk.files import read_json, remove_file, sha256_of_file, sha256_of_json, write_json
from fusemix.errors import FusemixError, LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.manifest import (
    FORMAT,
    MANIFEST,
    QUARANTINE,
    STARTED,
    VERSION,
    Accepted,
    Manifest,
    Shard,
    read_manifest,
    shard_name,
    size_problem,
)
from fusemix.latents.parts import PARTS
from fusemix.latents.quarantine import quarantine_problem, read_quarantine
from fusemix.parts.kinds import misfit, record_of


class Started(NamedTuple):
    """What a store was begun with; `batch_size` is None until known, `accepted` and `source` as in the manifest."""

    fingerprint: dict[str, Any]
    batch_size: int | None
    accepted: tuple[Accepted, ...] = ()
    source: dict[str, Any] | None = None

    def source_beside(self, newest: dict[str, Any] | None) -> dict[str, Any] | None:
        """What builds an encoder of this very fingerprint: the newest, unless that was only accepted as equal."""
        return self.source if self.accepted and self.source else newest


class Record(NamedTuple):
    """A finished shard, and the items in it that have no latent."""

    shard: Shard
    rejected: list[Rejected]


def started_of(folder: Path) -> Started:
    """What a store was begun with, sealed or not.

    Raises:
        LatentStoreError: it is gone, or not ours.
    """
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        return Started(manifest.fingerprint, manifest.batch_size, manifest.accepted, manifest.source)
    if (started := read_started(folder)) is None:
        raise LatentStoreError(f"{folder} was taken away while it was being written. Give the command again.")
    return started


def read_started(folder: Path) -> Started | None:
    """What an unsealed store was begun with, or None where none was.

    Raises:
        LatentStoreError: the file of this name is not ours.
    """
    path = folder / STARTED
    if not path.is_file():
        return None
    try:
        data = read_json(path)
        accepted = tuple(record_of(Accepted, one) for one in data.get("accepted") or ())
        if data.pop("format", FORMAT) != FORMAT or data.pop("version", VERSION) != VERSION:
            raise ValueError("it is of another kind")
        started = record_of(Started, {**data, "accepted": accepted})
        if misfit(started.fingerprint.get("shard_size", 1), int):
            raise ValueError("shard_size is no number")
        return started
    except (ValueError, TypeError, AttributeError, FusemixError) as error:
        raise LatentStoreError(f"{path} was not written by fusemix, or is damaged. Choose another out.") from error


def write_started(folder: Path, started: Started) -> None:
    """Begin a store."""
    about = {**started._asdict(), "accepted": [one._asdict() for one in started.accepted]}
    write_json(folder / STARTED, {"format": FORMAT, "version": VERSION, **about})


def record_path(folder: Path, index: int) -> Path:
    """Where the record of a shard stands."""
    return (folder / shard_name(index)).with_suffix(".json")


def read_record(folder: Path, index: int, fingerprint_sha256: str, *, read_back: bool = False) -> Record | None:
    """Record of a shard; None while it is not finished, or where it belongs to another fingerprint.

    Args:
        folder: of the store.
        index: of the shard.
        fingerprint_sha256: of what is being written.
        read_back: compare the shard with its hash, and not its size alone.
    """
    path = record_path(folder, index)
    try:
        data = read_json(path)
        if data.pop("fingerprint_sha256", None) != fingerprint_sha256:
            return None
        following, record = data.pop("next", None), _record(data)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError, FusemixError):  # not as we write them
        return None
    if size_problem(folder, record.shard):
        return None
    if following is None and not read_back:
        return record
    sha256 = sha256_of_file(folder / record.shard.file)
    found = [one for one in (_record(following) if following else record, record) if one.shard.sha256 == sha256]
    return found[0] if found else None


def _record(data: dict[str, Any]) -> Record:
    rejected = [record_of(Rejected, row) for row in data.pop("rejected")]
    return Record(record_of(Shard, data), rejected)


def write_record(
    folder: Path, index: int, record: Record, fingerprint_sha256: str, following: Record | None = None
) -> None:
    """Say that a shard is finished.

    Args:
        folder: of the store.
        index: of the shard.
        record: of it.
        fingerprint_sha256: of what is being written.
        following: what takes its place next: until that is done, the shard's own hash says which of the two counts.
    """
    after = {"next": _plain(following)} if following else {}
    path = record_path(folder, index)
    write_json(path, {**_plain(record), "fingerprint_sha256": fingerprint_sha256, **after})


def _plain(record: Record) -> dict[str, Any]:
    return {**record.shard._asdict(), "rejected": [item._asdict() for item in record.rejected]}


def is_ours(folder: Path) -> bool:
    """Whether a folder's own seal says that it is a latent store, finished or not."""
    try:
        if (folder / MANIFEST).is_file():
            return says(folder / MANIFEST, FORMAT, VERSION)
        return read_started(folder) is not None
    except FusemixError:
        return False


STORE = Owned(
    "a latent store",
    is_ours,
    (MANIFEST, STARTED, QUARANTINE, "latents-[0-9]*.npy", "latents-[0-9]*.json", "content-[0-9]*.bin", PARTS),
)


def rows_of(ids: pa.ChunkedArray, wanted: Sequence[str]) -> np.ndarray:
    """Rows of some ids, each named once; -1 where there is none. Chunks, which may be large, are not joined."""
    rows, known, at = np.full(len(wanted), -1), pc.SetLookupOptions(pa.array(wanted, ids.type)), 0
    for chunk in ids.chunks:
        found = pc.call_function("index_in", [chunk], known)
        here = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        rows[found.drop_null().to_numpy()] = at + here
        at += len(chunk)
    return rows


def unseal(folder: Path, manifest: Manifest, ids: pa.ChunkedArray, damaged: Container[int] = ()) -> None:
    """Turn a sealed store into an unfinished one that lacks only its damaged shards.

    Killed at any line, it leaves the sealed store or the unfinished one. Where the list of rejected items is lost, all
    shards that have some must be among the damaged.
    """
    is_lost = quarantine_problem(folder, manifest.num_rejected, manifest.quarantine_sha256)
    rejected = [] if is_lost else read_quarantine(folder)
    here: dict[int, list[Rejected]] = {}
    for item, row in zip(rejected, rows_of(ids, [item.id for item in rejected]).tolist(), strict=True):
        here.setdefault(row // manifest.shard_size, []).append(item)
    sha256 = sha256_of_json(manifest.fingerprint)
    for index, shard in enumerate(manifest.shards):
        if index not in damaged:
            write_record(folder, index, Record(shard, here.get(index, [])), sha256)
        else:
            record_path(folder, index).unlink(missing_ok=True)
    write_started(folder, Started(manifest.fingerprint, manifest.batch_size, manifest.accepted, manifest.source))
    remove_file(folder / MANIFEST)
