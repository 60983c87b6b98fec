"""Parts of shards that are not whole yet, so that a run that is killed loses seconds of work, and no shard.

Place in the flow: rows as they are encoded -> parts -> the shard, once all of its rows are there; then parts go.

Files:
    part-00003-00000.parquet …   some rows of shard 3: `row` of the store, `latent` as the encoder gave it, in float32,
                                 the numbers of content.py, and `stage` and `reason` where the item was set aside

A part is complete or absent. One of another fingerprint or of bytes that have changed does not count, and a row does
not whose file has changed since. Where parts hold a row twice, the later one counts.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int64, UInt64

from fusemix.disk.files import write_atomic
from fusemix.errors import LatentStoreError
from fusemix.interfaces import Rejected, values_near
from fusemix.latents.shard_rows import ShardRows

PARTS = "part-[0-9]*-[0-9]*.parquet"
NAME = re.compile(r"part-(\d{5,})-(\d{5,})\.parquet", re.ASCII)
OF_WHAT = b"fusemix.latents.part"


class Part(NamedTuple):
    """Some rows of a shard, in order.

    Attributes:
        rows: of the store.
        latents: of these, as the encoder gave them; NaN where an item has none.
        rejected: those that have none.
        digests: of what was read of each, 0 where that is not known.
    """

    rows: Int64[np.ndarray, " some"]
    latents: Float[np.ndarray, "some dim"]
    rejected: Sequence[Rejected]
    digests: UInt64[np.ndarray, " some"]


def shard_of_part(path: Path) -> int:
    """Index of the shard that a file of PARTS is of."""
    return int(path.stem.split("-")[1])


class Parts:
    """The parts of one store.

    Args:
        folder: of the store.
        rows: of its shards.
        dim: width of a latent.
        fingerprint_sha256: of what is being written.
    """

    def __init__(self, folder: Path, rows: ShardRows, dim: int, fingerprint_sha256: str) -> None:
        self._folder, self._rows, self._dim, self._sha256 = folder, rows, dim, fingerprint_sha256
        self.look_again()

    def look_again(self) -> None:
        """List the folder, which holds three files a shard: once, and not for each part."""
        self._numbers: dict[int, list[int]] = {}
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for name in (entry.name for entry in entries):
                if match := NAME.fullmatch(name):
                    self._numbers.setdefault(int(match[1]), []).append(int(match[2]))
        for numbers in self._numbers.values():
            numbers.sort()

    def keep(self, index: int, part: Part) -> None:
        """Write down some rows of a shard."""
        numbers = self._numbers.setdefault(index, [])
        number = max(numbers, default=-1) + 1
        path = self._path(index, number)
        about = {OF_WHAT: self._sha256.encode()}
        with write_atomic(path) as file:  # no dictionary: it would take NaN of other bits, or -0, for the same number
            table = self._table(index, part).replace_schema_metadata(about)
            pq.write_table(table, file, write_page_checksum=True, use_dictionary=False)
        numbers.append(number)

    def read(self, index: int) -> Part:
        """What is there of a shard."""
        tables = [table for path in self._files(index) if (table := self._read(path, index)) is not None]
        return self._part(pa.concat_tables(tables)) if tables else self._nothing()

    def joined(self, index: int, last: Part) -> Part:
        """What is there of a shard, and the rows that came last: all of it.

        Raises:
            LatentStoreError: something is missing.
        """
        whole, before = last, self.read(index)
        if len(before.rows):
            whole = self._part(pa.concat_tables([self._table(index, before), self._table(index, last)]))
        if len(whole.rows) != len(self._rows.spans[index]):
            raise LatentStoreError(
                f"{self._folder}: parts of shard {index} were taken away, or their files changed, while it was being "
                "made. Give the command again."
            )
        return whole

    def done(self, index: int) -> tuple[Bool[np.ndarray, " rows"], Sequence[Rejected]]:
        """Which rows of a shard are there, and what was set aside of them."""
        part, span = self.read(index), self._rows.spans[index]
        mask = np.zeros(len(span), dtype=bool)
        mask[part.rows - span.start] = True
        return mask, part.rejected

    def indices(self) -> set[int]:
        """Shards that have parts."""
        return set(self._numbers)

    def clear(self, index: int) -> None:
        """Delete the parts of a shard, the last one first: what is left of them is as if the run had ended earlier."""
        for path in reversed(self._files(index)):
            path.unlink(missing_ok=True)
        self._numbers.pop(index, None)

    def _files(self, index: int) -> list[Path]:
        return [self._path(index, number) for number in self._numbers.get(index, ())]

    def _path(self, index: int, number: int) -> Path:
        return self._folder / f"part-{index:05d}-{number:05d}.parquet"

    def _read(self, path: Path, index: int) -> pa.Table | None:
        """What a part holds that counts; None where it is of something else, or damaged."""
        with suppress(OSError, ValueError, KeyError, pa.ArrowException):
            table = pq.read_table(path, page_checksum_verification=True)
            if (table.schema.metadata or {}).get(OF_WHAT) != self._sha256.encode():
                return None
            table = table.select(self._schema().names).cast(self._schema())
            span = self._rows.spans[index]
            places = table["row"].to_numpy() - span.start
            if ((places < 0) | (places >= len(span))).any():
                return None
            as_it_was = table["mtime_ns"].to_numpy() == self._rows.times_in(index)[places]
            return table.filter(pa.array(as_it_was))
        return None

    def _schema(self) -> pa.Schema:
        numbers = {"row": pa.int64(), "digest": pa.uint64(), "mtime_ns": pa.uint64()}
        words = {"stage": pa.string(), "reason": pa.string()}
        return pa.schema({**numbers, **words, "latent": pa.list_(pa.float32(), self._dim)})

    def _nothing(self) -> Part:
        return Part(np.zeros(0, np.int64), np.zeros((0, self._dim), np.float32), (), np.zeros(0, np.uint64))

    def _table(self, index: int, part: Part) -> pa.Table:
        said = {item.id: item for item in part.rejected}
        ids = values_near(self._rows.ids, part.rows) if said else [""] * len(part.rows)
        items = [said.get(item) for item in ids]
        columns = [
            pa.array(part.rows),
            pa.array(part.digests),
            pa.array(self._rows.times_in(index)[part.rows - self._rows.spans[index].start]),
            pa.array([item and item.stage for item in items], pa.string()),
            pa.array([item and item.reason for item in items], pa.string()),
            pa.FixedSizeListArray.from_arrays(pa.array(part.latents.astype(np.float32).ravel()), self._dim),
        ]
        return pa.table(columns, schema=self._schema())

    def _part(self, table: pa.Table) -> Part:
        """The rows of some parts, joined: the last one of each."""
        rows, at = np.unique(table["row"].to_numpy()[::-1], return_index=True)
        table = table.take(pa.array(len(table) - 1 - at))
        latents = table["latent"].combine_chunks().flatten().to_numpy().reshape(len(rows), self._dim)
        rejected = ()
        if table["stage"].null_count < len(rows):
            ids = values_near(self._rows.ids, rows)
            said = zip(ids, table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True)
            rejected = tuple(Rejected(*item) for item in said if item[1])
        return Part(rows, latents, rejected, table["digest"].to_numpy())
