"""Write a latent store, shard by shard, so that a killed run loses at most the shard it was in.

Place in the flow: latents of some rows -> StoreWriter -> shards -> manifest, last.

Shard i holds the same rows whatever happened in between, and what is written depends only on the
latents: a run that was killed and went on leaves the same bytes as one that was not.
"""

import hashlib
import io
import shutil
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from fusemix.errors import LatentStoreError
from fusemix.files import write_atomic, write_jsonl
from fusemix.interfaces import Rejected
from fusemix.latents.manifest import (
    MANIFEST,
    QUARANTINE,
    STARTED,
    Manifest,
    Shard,
    read_manifest,
    refuse_difference,
    shard_name,
    write_manifest,
)
from fusemix.latents.records import (
    Record,
    Started,
    read_record,
    read_started,
    record_path,
    unseal,
    write_record,
    write_started,
)
from fusemix.latents.verify import damaged_shards

ENOUGH_TO_JUDGE = 1024
"""Items after which the share of bad ones is taken as it is."""


class StoreWriter:
    """One latent store in the making.

    A sealed store that has lost a shard is opened as an unfinished one that lacks it.

    Args:
        folder: of the store; its name is the encoder's.
        ids: of the items, in order of rows.
        modality: of the items.
        dim: width of a latent.
        dtype: `float16` or `float32`.
        shard_size: rows of a shard.
        fingerprint: all that changes the numbers.
        source: `name` and `options` that build the encoder again; None where nothing can.
        max_bad_fraction: share of rejected items, in [0, 1], above which writing and sealing stop.
        overwrite: discard a store of another fingerprint.
        verify: read the shards of a sealed store back, so that a changed one counts as lost.
        joins: another process has opened the store already; this one only writes shards.

    Raises:
        LatentStoreError: the folder holds something else.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ids: pa.ChunkedArray,
        modality: str,
        dim: int,
        dtype: str,
        shard_size: int,
        fingerprint: dict[str, Any],
        source: dict[str, Any] | None = None,
        max_bad_fraction: float = 1.0,
        overwrite: bool = False,
        verify: bool = False,
        joins: bool = False,
    ) -> None:
        self.folder, self.dim, self._max_bad_fraction = folder, dim, max_bad_fraction
        self._ids, self._modality, self._dtype, self._shard_size = ids, modality, dtype, shard_size
        self._source = source
        self._fingerprint = {**fingerprint, "dim": dim, "dtype": dtype, "shard_size": shard_size}
        if not joins:
            self._open(overwrite, verify)
        started = read_started(folder)
        self.batch_size = (
            started.batch_size if started else read_manifest(folder).batch_size if self.is_sealed else None
        )
        self._finished = self._read_finished()

    def _open(self, overwrite: bool, verify: bool) -> None:
        try:
            if self.is_sealed:
                refuse_difference(self.folder, read_manifest(self.folder).fingerprint, self._fingerprint)
            elif started := read_started(self.folder):
                refuse_difference(self.folder, started.fingerprint, self._fingerprint)
        except LatentStoreError:
            if not overwrite:
                raise
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.is_sealed:
            self._unseal_damaged(verify)
        elif not (self.folder / STARTED).is_file():
            write_started(self.folder, Started(self._fingerprint, None))

    def _unseal_damaged(self, verify: bool) -> None:
        manifest = read_manifest(self.folder)
        found = [damage.shard for damage in damaged_shards(self.folder, manifest, read_back=verify)]
        damaged = [index for index in found if index is not None]
        if damaged:
            unseal(self.folder, manifest, self._ids, damaged)

    @property
    def is_sealed(self) -> bool:
        """Whether the store is complete."""
        return (self.folder / MANIFEST).is_file()

    @property
    def spans(self) -> list[range]:
        """Rows of each shard."""
        count = len(self._ids)
        return [range(at, min(at + self._shard_size, count)) for at in range(0, count, self._shard_size)]

    def missing(self) -> list[int]:
        """Shards that are still to be written, in order."""
        if self.is_sealed:
            return []
        return [index for index in range(len(self.spans)) if not record_path(self.folder, index).is_file()]

    def index_of(self, rows: range) -> int:
        """Index of the shard that starts where `rows` do."""
        return rows.start // self._shard_size

    def begin(self, batch_size: int) -> None:
        """Note the batch size, so that a run that goes on, or makes a damaged shard anew, gives the same bytes."""
        if not self.is_sealed and batch_size != self.batch_size:
            write_started(self.folder, Started(self._fingerprint, batch_size))
            self.batch_size = batch_size

    def write(self, index: int, latents: Float[np.ndarray, "rows dim"], rejected: Sequence[Rejected]) -> None:
        """Write one shard; latents that are not finite as stored join the rejected ones.

        Args:
            index: of the shard.
            latents: (rows of that shard, dim), float32; rows of rejected items are ignored.
            rejected: items that have no latent.

        Raises:
            LatentStoreError: too many items were rejected so far; the shard is written all the same.
        """
        span = self.spans[index]
        if latents.shape != (len(span), self.dim):
            raise ValueError(f"shard {index} takes {(len(span), self.dim)}, not {latents.shape}")
        ids = self._ids.slice(span.start, len(span)).to_pylist()
        rejected = [*rejected, *self._not_storable(ids, latents, {r.id for r in rejected})]
        bad = {r.id for r in rejected}
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(latents, dtype=self._dtype)
        stored[[i for i, item in enumerate(ids) if item in bad]] = np.nan
        content = io.BytesIO()
        np.save(content, stored, allow_pickle=False)
        with write_atomic(self.folder / shard_name(index)) as file:
            file.write(content.getbuffer())
        sha256 = hashlib.sha256(content.getbuffer()).hexdigest()
        record = Record(Shard(shard_name(index), len(span), content.getbuffer().nbytes, sha256), rejected)
        write_record(self.folder, index, record)
        self._finished[index] = record
        self._stop_if_mostly_bad()

    def _not_storable(
        self, ids: Sequence[str], latents: Float[np.ndarray, "rows dim"], known: set[str]
    ) -> list[Rejected]:
        largest = np.abs(latents).max(axis=1)
        limit = np.finfo(self._dtype).max
        found = []
        for i in np.flatnonzero(~(largest <= limit)).tolist():  # also where largest is NaN
            if np.isfinite(latents[i]).all():
                reason = f"a value of {largest[i]:.4g} is too large for {self._dtype}; store with dtype=float32"
            else:
                reason = "the encoder gave NaN or infinity"
            if ids[i] not in known:
                found.append(Rejected(ids[i], "encode", reason))
        return found

    def seal(self) -> Manifest:
        """Write quarantine and manifest, and clear what was only needed on the way.

        Raises:
            LatentStoreError: shards are missing.
        """
        if not self.is_sealed:
            if missing := self.missing():
                raise LatentStoreError(f"{self.folder}: shards {missing} are not written yet.")
            self._seal()
        for leftover in [self.folder / STARTED, *(record_path(self.folder, i) for i in range(len(self.spans)))]:
            leftover.unlink(missing_ok=True)
        return read_manifest(self.folder)

    def _seal(self) -> None:
        self._finished = self._read_finished()  # other processes may have written shards since
        self._stop_if_mostly_bad()
        records = [self._finished[index] for index in range(len(self.spans))]
        rejected = [item for record in records for item in record.rejected]
        write_jsonl(self.folder / QUARANTINE, (item._asdict() for item in rejected))
        manifest = Manifest(
            encoder=self.folder.name,
            modality=self._modality,
            num_rows=len(self._ids),
            dim=self.dim,
            dtype=self._dtype,
            shard_size=self._shard_size,
            num_rejected=len(rejected),
            fingerprint=self._fingerprint,
            shards=tuple(record.shard for record in records),
            batch_size=self.batch_size,
            source=self._source,
        )
        write_manifest(self.folder, manifest)

    def _read_finished(self) -> dict[int, Record]:
        found = ((index, read_record(self.folder, index)) for index in range(len(self.spans)))
        return {index: record for index, record in found if record}

    def _stop_if_mostly_bad(self) -> None:
        num_rows = sum(record.shard.num_rows for record in self._finished.values())
        rejected = [record.rejected for record in self._finished.values()]
        refuse_mostly_bad(self.folder, rejected, num_rows, len(self._ids), self._max_bad_fraction)


def refuse_mostly_bad(
    folder: Path, rejected: Sequence[Sequence[Rejected]], num_seen: int, num_rows: int, max_bad_fraction: float
) -> None:
    """Stop where more items were set aside than the user allows.

    Few items say little, and which ones come first depends on how many processes share the work: until
    `ENOUGH_TO_JUDGE` are seen, all others are taken to be sound.

    Args:
        folder: for the message.
        rejected: what was set aside, in groups.
        num_seen: items looked at.
        num_rows: items in all.
        max_bad_fraction: in [0, 1].

    Raises:
        LatentStoreError: there are too many of them.
    """
    num_rejected = sum(map(len, rejected))
    if num_rejected > max_bad_fraction * max(num_seen, min(num_rows, ENOUGH_TO_JUDGE)):
        first = list(islice(chain.from_iterable(rejected), 5))
        shown = "\n  ".join(f"{r.id} ({r.stage}): {r.reason}" for r in first)
        raise LatentStoreError(
            f"{folder}: {num_rejected:,} of {num_seen:,} items so far could not be used, which is more than "
            f"max_bad_fraction={max_bad_fraction:g} allows:\n  {shown}\n"
            "What was encoded is kept. Mend the cause and run the same command (a finished shard keeps what it has set "
            "aside until its store is deleted), or go on without these items by raising max_bad_fraction."
        )
