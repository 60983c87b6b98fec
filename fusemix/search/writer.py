"""Add items to an index, without touching those that are in it.

Place in the flow: vectors and items, some at a time -> segments -> index.json.

A segment holds SEGMENT_ROWS items at most and never changes. The last one is taken up again while it is small enough to
be flat, so that many small additions do not leave many small segments. Killed at any line, a writer leaves the index
of before, or that with whole segments added.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from fusemix.errors import IndexFolderError
from fusemix.search.folder import SEGMENTS, Description, Index, Segment, read_description, write_description
from fusemix.search.items import SCHEMA, write_items
from fusemix.search.vectors import FLAT_BELOW, build

SEGMENT_ROWS = 500_000
SUFFIXES = (".faiss", ".npy", ".parquet")
SAMPLE = 256
"""Queries that a segment's numbers of lists and of candidates are chosen by."""


class IndexWriter:
    """Adds to an index; `finish` when all is added.

    Args:
        folder: of the index; may be empty.
        description: of the index as it is, or of a new one without segments.
        segment_rows: items in a segment at most.
    """

    def __init__(self, folder: Path, description: Description, segment_rows: int = SEGMENT_ROWS) -> None:
        self.folder, self.description, self._segment_rows = folder, description, segment_rows
        self._read = read_description(folder)
        self._vectors: list[Float32[np.ndarray, "items dim"]] = []
        self._tables: list[pa.Table] = []
        self._sample: list[Float32[np.ndarray, "queries dim"]] = []
        self._kept = list(description.segments)
        (folder / SEGMENTS).mkdir(parents=True, exist_ok=True)
        if self._kept and self._kept[-1].num_items < min(FLAT_BELOW, segment_rows):
            self._take_up_the_last()

    def _take_up_the_last(self) -> None:
        vectors, table = Index(self.folder).segment_content(len(self._kept) - 1)
        self._kept.pop()
        self._vectors, self._tables = [vectors], [table]

    def add(
        self,
        vectors: Float32[np.ndarray, "items dim"],
        table: pa.Table,
        sample: Float32[np.ndarray, "queries dim"] | None = None,
    ) -> None:
        """Add items; whole segments are written as they become full.

        Args:
            vectors: unit length.
            table: one row an item, in `items.SCHEMA`.
            sample: queries of the kind that will be asked, if there are any, to choose a segment's search by.
        """
        assert len(vectors) == table.num_rows, "a row an item"
        self._vectors.append(vectors)
        self._tables.append(table.cast(SCHEMA))
        if sample is not None and sum(map(len, self._sample)) < SAMPLE:
            self._sample.append(sample)
        while sum(map(len, self._vectors)) >= self._segment_rows:
            self._write(self._segment_rows)

    def finish(self) -> Description:
        """Write what is left, and forget files that no longer count; returns what index.json says."""
        left = sum(map(len, self._vectors))
        if left:
            self._write(left)
        else:
            self._seal()
        named = {segment.number for segment in self.description.segments}
        for path in (self.folder / SEGMENTS).iterdir():
            number = _number(path)
            if number and int(number) not in named:
                path.unlink()
        return self.description

    def _write(self, num_items: int) -> None:
        """One segment of the first items that wait."""
        vectors, table = np.concatenate(self._vectors), pa.concat_tables(self._tables)
        self._vectors, self._tables = [vectors[num_items:]], [table.slice(num_items)]
        vectors, table = vectors[:num_items], table.slice(0, num_items)
        sample = np.concatenate(self._sample)[:SAMPLE] if self._sample else _spread(vectors)
        segment = Segment(self._claimed_number(), dict(Counter(table["modality"].to_pylist())), "", 0, 0, 1.0)
        built = build(segment.file(self.folder, ".faiss"), vectors, sample)
        write_items(segment.file(self.folder, ".parquet"), table)
        self._kept.append(replace(segment, **built._asdict()))
        self._seal()

    def _claimed_number(self) -> int:
        """One that no file of a killed writer has, nor of one that writes at the same time."""
        number = max(map(int, filter(None, map(_number, (self.folder / SEGMENTS).iterdir()))), default=-1) + 1
        while True:
            try:
                Segment(number, {}, "", 0, 0, 1.0).file(self.folder, ".parquet").touch(exist_ok=False)
                return number
            except FileExistsError:
                number += 1

    def _seal(self) -> None:
        if read_description(self.folder) != self._read:
            raise IndexFolderError(f"{self.folder} was changed by another process meanwhile. Give the command again.")
        self.description = replace(self.description, segments=list(self._kept))
        write_description(self.folder, self.description)
        self._read = self.description


def _number(path: Path) -> str | None:
    """Digits of a segment that a file belongs to; None where it is somebody else's."""
    return path.stem if path.suffix in SUFFIXES and path.stem.isdecimal() else None


def _spread(vectors: Float32[np.ndarray, "items dim"]) -> Float32[np.ndarray, "sample dim"]:
    """Vectors at even distances."""
    return vectors[np.linspace(0, len(vectors) - 1, min(SAMPLE, len(vectors))).astype(np.int64)]
