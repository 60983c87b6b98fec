"""Write a latent store, shard by shard, and a shard that takes long part by part, so that a killed run loses little.

Place in the flow: latents of some rows -> StoreWriter -> parts (parts.py) -> shards -> manifest, last.

Shard i holds the same rows whatever happened in between, and what is written depends only on the
latents: a run that was killed and went on leaves the same bytes as one that was not.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int64

from fusemix.disk.discarding import take_place
from fusemix.disk.files import remove_file, sha256_of_json, write_atomic, write_jsonl
from fusemix.errors import LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.content import Content, content_of, content_sha256, read_content, write_content
from fusemix.latents.finished import Finished
from fusemix.latents.manifest import (
    MANIFEST,
    QUARANTINE,
    Manifest,
    Shard,
    read_manifest,
    shard_name,
    write_manifest,
)
from fusemix.latents.opening import open_folder, place_for
from fusemix.latents.parts import Part, Parts
from fusemix.latents.quarantine import SHOWN, quarantine_sha256, refuse_mostly_bad
from fusemix.latents.records import STORE, Record, record_path, started_of, unseal, write_started
from fusemix.latents.shard_rows import ShardRows
from fusemix.latents.storable import npy_of, storable


class StoreWriter:
    """One latent store in the making.

    A sealed store that has lost a shard, or the list of what is set aside, is opened as an unfinished one.

    Args:
        folder: of the store; its name is the encoder's.
        ids: of the items, in order of rows.
        modality: of the items.
        dim: width of a latent.
        dtype: `float16` or `float32`.
        shard_size: rows of a shard.
        fingerprint: all that changes the numbers.
        source: `name` and `options` that build the encoder again; None where nothing can.
        times: when the file of each item was last changed, in nanoseconds; None where items are no files.
        max_bad_fraction: share of rejected items, in [0, 1], above which writing and sealing stop.
        overwrite: replace a store of another fingerprint, once this one is sealed; until then it is written beside.
        verify: read the shards of a store back, so that a changed one counts as lost.
        accept: dotted names of fields of the fingerprint that may differ from the store's; None where the user cannot
            say so.
        joins: another process has opened the store already; this one only writes shards.

    Attributes:
        parts: of shards that are not whole.

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
        times: pa.ChunkedArray | None = None,
        max_bad_fraction: float = 1.0,
        overwrite: bool = False,
        verify: bool = False,
        accept: Sequence[str] | None = None,
        joins: bool = False,
    ) -> None:
        self.goal, self.dim, self._max_bad_fraction = folder, dim, max_bad_fraction
        self.rows = ShardRows(ids, times, shard_size)
        self._modality, self._dtype, self._source = modality, dtype, source
        wanted = {**fingerprint, "dim": dim, "dtype": dtype, "shard_size": shard_size}
        self.folder = place_for(folder, wanted, overwrite=overwrite, accept=accept, joins=joins)
        if not joins:
            open_folder(self.folder, ids, wanted, source, replaces=self.folder != folder, verify=verify, accept=accept)
        self._started = started_of(self.folder)  # what was accepted as equal stays as it was: earlier records count
        sha256 = sha256_of_json(self._started.fingerprint)
        self._finished = Finished(self.folder, len(self.spans), sha256)
        self.parts = Parts(self.folder, self.rows, dim, sha256)
        if not self.is_sealed:
            self._finished.read(read_back=verify and not joins)
            if verify and not joins:
                self.forget(self._finished.missing)

    @property
    def spans(self) -> list[range]:
        """Rows of each shard."""
        return self.rows.spans

    @property
    def batch_size(self) -> int | None:
        """Items in one pass of the encoder, as the store was begun with; None until that is known."""
        return self._started.batch_size

    @property
    def is_sealed(self) -> bool:
        """Whether the store is complete."""
        return (self.folder / MANIFEST).is_file()

    def missing(self) -> list[int]:
        """Shards that are still to be written, in order."""
        self.look_again()
        return [] if self.is_sealed else self._finished.missing

    def look_again(self) -> None:
        """Find out what other processes have written since; what was finished before stays so."""
        if not self.is_sealed:
            self._finished.read(self._finished.missing)

    def read_again(self) -> None:
        """Forget what is known of the folder, where other commands write, too."""
        if not self.is_sealed:
            self._started = started_of(self.folder)
            self._finished.read()

    def index_of(self, rows: range) -> int:
        """Index of the shard that starts where `rows` do."""
        return rows.start // self.rows.shard_size

    def begin(self, batch_size: int) -> None:
        """Note the batch size, so that a run that goes on, or makes a damaged shard again, gives the same bytes."""
        if not self.is_sealed and batch_size != self.batch_size:
            self._started = self._started._replace(batch_size=batch_size)
            write_started(self.folder, self._started)

    def shards(self) -> dict[int, Shard]:
        """What is finished, sealed or not: index -> shard."""
        if self.is_sealed:
            return dict(enumerate(read_manifest(self.folder).shards))
        return {index: record.shard for index, record in self._finished.records.items()}

    def forget(self, indices: Sequence[int]) -> None:
        """Make finished shards missing ones; a sealed store is opened again for them."""
        if not indices:
            return
        was_sealed = self.is_sealed
        if was_sealed:
            unseal(self.folder, read_manifest(self.folder), self.rows.ids, frozenset(indices))
        for index in indices:
            remove_file(record_path(self.folder, index))
            self.parts.clear(index)
        self._finished.read(None if was_sealed else indices)

    def set_aside(self) -> dict[int, Int64[np.ndarray, " rows"]]:
        """Rows without latent of each finished shard that has some; a sealed store is opened again for them."""
        if self.is_sealed and read_manifest(self.folder).num_rejected:
            unseal(self.folder, read_manifest(self.folder), self.rows.ids)
        self.look_again()
        self._finished.read([index for index, record in self._finished.records.items() if record.rejected])
        return {
            index: np.sort(self.spans[index].start + self.rows.places_in(index, record.rejected))
            for index, record in self._finished.records.items()
            if record.rejected
        }

    def write(
        self,
        index: int,
        latents: Float[np.ndarray, "rows dim"],
        rejected: Sequence[Rejected],
        digests: Sequence[int] | None = None,
    ) -> None:
        """Write one shard; latents that are not finite as stored join the rejected ones.

        Args:
            index: of the shard.
            latents: (rows of that shard, dim), float32; rows of rejected items are ignored.
            rejected: items that have no latent.
            digests: of what was read of each item, 0 where that is not known.

        Raises:
            LatentStoreError: too many items were rejected so far; the shard is written all the same.
        """
        span = self.spans[index]
        if latents.shape != (len(span), self.dim):
            raise ValueError(f"shard {index} takes {(len(span), self.dim)}, not {latents.shape}")
        stored, rejected = storable(self.rows.ids_in(index), latents, rejected, self._dtype)
        self._put(index, stored, rejected, content_of(self.rows, index, digests))
        self.parts.clear(index)
        self._stop_if_mostly_bad()

    def finish(self, index: int, last: Part) -> None:
        """Write one shard whose other rows are in parts; errors as those of `write`."""
        whole = self.parts.joined(index, last)
        self.write(index, whole.latents, whole.rejected, whole.digests.tolist())

    def fill(
        self,
        index: int,
        rows: Int64[np.ndarray, " some"],
        latents: Float[np.ndarray, "some dim"],
        rejected: Sequence[Rejected],
        digests: Sequence[int],
    ) -> None:
        """Put latents into rows of a finished shard that have none; all others stay as they are, bit for bit.

        Killed at any line, it leaves the shard as it was or as it is then.

        Args:
            index: of the shard.
            rows: of the store; those that have a latent already are passed over.
            latents: of these rows.
            rejected: those of their items that have no latent now either.
            digests: of what was read of each item.
        """
        before, ids = self._finished.records[index], self.rows.ids_in(index)
        places = rows - self.spans[index].start
        is_open = np.isin(places, self.rows.places_in(index, before.rejected))
        places, tried = places[is_open], {ids[place] for place in places[is_open].tolist()}
        stored, found = storable([ids[place] for place in places.tolist()], latents[is_open], rejected, self._dtype)
        shard = np.load(self.folder / before.shard.file, allow_pickle=False)
        shard[places] = stored
        left = [item for item in before.rejected if item.id not in tried] + [item for item in found if item.id in tried]
        sha256 = before.shard.content_sha256
        content = read_content(self.folder, index, sha256) if sha256 else None
        if content is not None:
            content.digests[places] = np.array(digests, dtype=np.uint64)[is_open]
            content.times[places] = self.rows.times_in(index)[places]
        self._put(index, shard, left, content)

    def _put(
        self, index: int, stored: Float[np.ndarray, "rows dim"], rejected: Sequence[Rejected], content: Content | None
    ) -> None:
        data = npy_of(stored)
        of_content = content_sha256(content.digests) if content else None
        shard = Shard(shard_name(index), len(stored), len(data), hashlib.sha256(data).hexdigest(), of_content)
        in_order = np.argsort(self.rows.places_in(index, rejected), kind="stable").tolist()
        record = Record(shard, [rejected[i] for i in in_order])
        if index in self._finished.records:
            self._finished.announce(index, record)
        with write_atomic(self.folder / shard_name(index)) as file:
            file.write(data)
        if content:
            write_content(self.folder, index, content)
        self._finished.add(index, record)

    def seal(self) -> Manifest:
        """Write quarantine and manifest, clear what was only needed on the way, and replace what was to be replaced.

        Raises:
            LatentStoreError: shards are missing, or too many items were rejected.
        """
        if not self.is_sealed:
            self._finished.read()
            if missing := self._finished.missing:
                more = " and more" if len(missing) > SHOWN else ""
                raise LatentStoreError(f"{self.folder}: shards {missing[:SHOWN]}{more} are not written yet.")
            self._seal()
        self._finished.clear()
        self.parts.look_again()
        for index in self.parts.indices():  # of a run that was killed when the shard was whole
            self.parts.clear(index)
        if self.folder != self.goal:
            take_place(self.folder, self.goal, STORE)
            self.folder = self._finished.folder = self.goal
        return read_manifest(self.folder)

    def _seal(self) -> None:
        self._stop_if_mostly_bad()
        rejected = list(self._finished.rejected())
        write_jsonl(self.folder / QUARANTINE, (item._asdict() for item in rejected))
        manifest = Manifest(
            encoder=self.goal.name,
            modality=self._modality,
            num_rows=len(self.rows.ids),
            dim=self.dim,
            dtype=self._dtype,
            shard_size=self.rows.shard_size,
            num_rejected=len(rejected),
            fingerprint=self._started.fingerprint,
            shards=tuple(self._finished.records[index].shard for index in range(len(self.spans))),
            batch_size=self.batch_size,
            source=self._started.source_beside(self._source),
            quarantine_sha256=quarantine_sha256(self.folder),
            accepted=self._started.accepted,
        )
        write_manifest(self.folder, manifest)

    def _stop_if_mostly_bad(self) -> None:
        counts = (self._finished.num_rejected, self._finished.num_rows, len(self.rows.ids))
        refuse_mostly_bad(self.folder, self._finished.rejected(), *counts, self._max_bad_fraction)
