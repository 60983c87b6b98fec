"""The shards of an unsealed store that are finished, with counts that are kept and not added up at each shard.

Place in the flow: records on disk <-> Finished <-> writer.py.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from fusemix.interfaces import Rejected
from fusemix.latents.records import Record, read_record, write_record


class Finished:
    """Records of one store.

    Args:
        folder: of the store.
        num_shards: that it is going to have.
        fingerprint_sha256: of what is being written; records of another one do not count.

    Attributes:
        records: index of the shard -> its record.
        num_rows: of all these shards.
        num_rejected: items without latent among them.
    """

    def __init__(self, folder: Path, num_shards: int, fingerprint_sha256: str) -> None:
        self.folder, self.num_shards, self.fingerprint_sha256 = folder, num_shards, fingerprint_sha256
        self.records: dict[int, Record] = {}
        self.num_rows = self.num_rejected = 0

    def read(self, *, read_back: bool = False) -> None:
        """Look at the folder again; `read_back` compares each shard with its hash."""
        found = (
            (index, read_record(self.folder, index, self.fingerprint_sha256, read_back=read_back))
            for index in range(self.num_shards)
        )
        self.records = {index: record for index, record in found if record}
        self.num_rows = sum(record.shard.num_rows for record in self.records.values())
        self.num_rejected = sum(len(record.rejected) for record in self.records.values())

    def add(self, index: int, record: Record) -> None:
        """Say, on disk and here, that a shard is finished."""
        write_record(self.folder, index, record, self.fingerprint_sha256)
        before = self.records.get(index)
        self.records[index] = record
        self.num_rows += record.shard.num_rows - (before.shard.num_rows if before else 0)
        self.num_rejected += len(record.rejected) - (len(before.rejected) if before else 0)

    def announce(self, index: int, record: Record) -> None:
        """Say on disk what a finished shard becomes next, before its file is replaced."""
        write_record(self.folder, index, self.records[index], self.fingerprint_sha256, following=record)

    @property
    def missing(self) -> list[int]:
        """Shards that are not finished, in order."""
        return [index for index in range(self.num_shards) if index not in self.records]

    def rejected(self) -> Iterator[Rejected]:
        """Items without latent, in order of shards."""
        return chain.from_iterable(self.records[index].rejected for index in sorted(self.records))
