"""Write a latent store, shard by shard, so that a killed run loses at most the shard it was in.

Place in the flow: latents of some rows -> StoreWriter -> shards -> manifest, last.

Shard i holds the same rows whatever happened in between, and what is written depends only on the
latents: a run that was killed and went on leaves the same bytes as one that was not.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from fusemix.errors import LatentStoreError
from fusemix.files import read_json, read_jsonl, sha256_of_file, write_atomic, write_json, write_jsonl
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


class StoreWriter:
    """One latent store in the making.

    Args:
        folder: of the store; its name is the encoder's.
        ids: of the items, in order of rows.
        modality: of the items.
        dim: width of a latent.
        dtype: `float16` or `float32`.
        shard_size: rows of a shard.
        fingerprint: all that changes the numbers.
        max_bad_fraction: share of rejected items, in [0, 1], above which writing and sealing stop.
        overwrite: discard a store of another fingerprint.

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
        max_bad_fraction: float = 1.0,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.dim, self._max_bad_fraction = folder, dim, max_bad_fraction
        self._ids, self._modality, self._dtype, self._shard_size = ids, modality, dtype, shard_size
        self._fingerprint = {**fingerprint, "dim": dim, "dtype": dtype, "shard_size": shard_size}
        self._open(overwrite)

    def _open(self, overwrite: bool) -> None:
        started = self.folder / STARTED
        try:
            if self.is_sealed:
                refuse_difference(self.folder, read_manifest(self.folder).fingerprint, self._fingerprint)
            elif started.is_file():
                refuse_difference(self.folder, read_json(started), self._fingerprint)
        except LatentStoreError:
            if not overwrite:
                raise
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.is_sealed and not started.is_file():
            write_json(started, self._fingerprint)

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
        return [] if self.is_sealed else [i for i in range(len(self.spans)) if not self._record(i).is_file()]

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
        rejected = [*rejected, *self._not_storable(span, latents, {r.id for r in rejected})]
        bad = {r.id for r in rejected}
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(latents, dtype=self._dtype)
        stored[[i for i, row in enumerate(span) if self._ids[row].as_py() in bad]] = np.nan
        path = self.folder / shard_name(index)
        with write_atomic(path) as file:
            np.save(file, stored, allow_pickle=False)
        shard = {"file": path.name, "num_rows": len(span), "num_bytes": path.stat().st_size}
        record = {**shard, "sha256": sha256_of_file(path), "rejected": [r._asdict() for r in rejected]}
        write_json(self._record(index), record)
        self._stop_if_mostly_bad()

    def _not_storable(self, span: range, latents: Float[np.ndarray, "rows dim"], known: set[str]) -> list[Rejected]:
        largest = np.abs(latents).max(axis=1)
        limit = np.finfo(self._dtype).max
        found = []
        for i in np.flatnonzero(~(largest <= limit)):  # also where largest is NaN
            item = self._ids[span[i]].as_py()
            if np.isfinite(latents[i]).all():
                reason = f"a value of {largest[i]:.4g} is too large for {self._dtype}; store with dtype=float32"
            else:
                reason = "the encoder gave NaN or infinity"
            if item not in known:
                found.append(Rejected(item, "encode", reason))
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
        for leftover in [self.folder / STARTED, *(self._record(i) for i in range(len(self.spans)))]:
            leftover.unlink(missing_ok=True)
        return read_manifest(self.folder)

    def _seal(self) -> None:
        self._stop_if_mostly_bad()
        records = self._records()
        rejected = [row for record in records for row in record.pop("rejected")]
        write_jsonl(self.folder / QUARANTINE, rejected)
        manifest = Manifest(
            encoder=self.folder.name,
            modality=self._modality,
            num_rows=len(self._ids),
            dim=self.dim,
            dtype=self._dtype,
            shard_size=self._shard_size,
            num_rejected=len(rejected),
            fingerprint=self._fingerprint,
            shards=tuple(Shard(**record) for record in records),
        )
        write_manifest(self.folder, manifest)

    def _stop_if_mostly_bad(self) -> None:
        records = self._records()
        rejected = [Rejected(**row) for record in records for row in record["rejected"]]
        num_rows = sum(record["num_rows"] for record in records)
        if len(rejected) > self._max_bad_fraction * num_rows:
            shown = "\n  ".join(f"{r.id} ({r.stage}): {r.reason}" for r in rejected[:5])
            raise LatentStoreError(
                f"{self.folder}: {len(rejected):,} of {num_rows:,} items so far could not be used, which is more than "
                f"max_bad_fraction={self._max_bad_fraction:g}:\n  {shown}\n"
                "What was encoded is kept. Mend the cause and run the same command with overwrite=true, or go on "
                "without these items by raising max_bad_fraction."
            )

    def _records(self) -> list[dict[str, Any]]:
        paths = [self._record(index) for index in range(len(self.spans))]
        return [read_json(path) for path in paths if path.is_file()]

    def _record(self, index: int) -> Path:
        return (self.folder / shard_name(index)).with_suffix(".json")


def read_quarantine(folder: Path) -> list[Rejected]:
    """Items of a sealed store that have no latent."""
    path = folder / QUARANTINE
    return [Rejected(**row) for row in read_jsonl(path)] if path.is_file() else []
