"""The shards of an unsealed store that are finished, with counts that are kept and not added up at each shard.

Place in the flow: records on disk <-> Finished <-> writer.py.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from fusemix.interfaces import Rejected
from fusemix.latents.manifest import STARTED
from fusemix.latents.records import Record, read_record, record_path, write_record


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

    def read(self, indices: Iterable[int] | None = None, *, read_back: bool = False) -> None:
        """Look at records again.

        Args:
            indices: of the shards; None means all. Those that were missing suffice to see what others have finished.
            read_back: compare each shard with its hash.
        """
        listed = self._listed()
        for index in range(self.num_shards) if indices is None else indices:
            is_listed = record_path(self.folder, index).name in listed
            there = read_record(self.folder, index, self.fingerprint_sha256, read_back=read_back) if is_listed else None
            self._note(index, there)

    def clear(self) -> None:
        """Delete the records, and what a store was begun with, once its manifest says all that; most are gone then."""
        leftover = {STARTED, *(record_path(self.folder, index).name for index in range(self.num_shards))}
        for name in self._listed() & leftover:
            (self.folder / name).unlink(missing_ok=True)

    def _listed(self) -> set[str]:
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            return {entry.name for entry in entries}
        return set()

    def add(self, index: int, record: Record) -> None:
        """Say, on disk and here, that a shard is finished."""
        write_record(self.folder, index, record, self.fingerprint_sha256)
        self._note(index, record)

    def _note(self, index: int, record: Record | None) -> None:
        for one, sign in ((self.records.pop(index, None), -1), (record, 1)):
            if one:
                self.num_rows += sign * one.shard.num_rows
                self.num_rejected += sign * len(one.rejected)
        if record:
            self.records[index] = record

    def announce(self, index: int, record: Record) -> None:
        """Say on disk what a finished shard becomes next, before its file is replaced."""
        write_record(self.folder, index, self.records[index], self.fingerprint_sha256, following=record)

    @property
    def missing(self) -> list[int]:
        """Shards that are not finished, in order."""
        return [index for index in range(self.num_shards) if index not in self.records]

    def rejected(self) -> Iterator[Rejected]:
        """Items without latent, in order of shards, which are sorted only when the first of these is asked for."""
        for index in sorted(self.records):
            yield from self.records[index].rejected
