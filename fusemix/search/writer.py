"""Add items to an index, without touching those that are in it; or make another in its place.

Place in the flow: vectors and items, some at a time -> segments -> index.json.
Not here: keeping a second writer out (locks.py).

A segment holds SEGMENT_ROWS items at most and never changes. The last one is taken up again while it is small enough to
be flat, so that many small additions do not leave many small segments. Killed at any line, a writer leaves the index
of before, or that with whole segments added. Only files that bear a name of ours are ever deleted.
"""

import hashlib
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from fusemix.disk.proven_names import is_ours, new_name
from fusemix.errors import IndexFolderError
from fusemix.search.description import (
    INDEX,
    SEGMENTS,
    SUFFIXES,
    Description,
    Segment,
    damaged,
    read_description,
    write_description,
)
from fusemix.search.folder import Index
from fusemix.search.items import SCHEMA, bulk_of_items, write_items
from fusemix.search.seals import seal_of
from fusemix.search.vectors import FLAT_BELOW, build, bulk_of_vectors

SEGMENT_ROWS = 500_000
SAMPLE = 256
"""Queries that a segment's numbers of lists and of candidates are chosen by."""


class IndexWriter:
    """Adds to an index; `finish` when all is added.

    Args:
        folder: of the index; may be empty.
        description: of the index as it is, or of a new one without segments: that takes the place of what is there,
            in one step, when `finish` is called.
        segment_rows: items in a segment at most.

    Raises:
        IndexFolderError: the segment that is to be taken up is damaged, or the folder of the segments is only linked.
    """

    def __init__(self, folder: Path, description: Description, segment_rows: int = SEGMENT_ROWS) -> None:
        self.folder, self.description, self._segment_rows = folder, description, segment_rows
        self._read, before = _sealed_state(folder), _segments_in(folder)
        self._before = set(before or ())
        self._replaces = not description.segments and before != []
        self._vectors: list[Float32[np.ndarray, "items dim"]] = []
        self._tables: list[pa.Table] = []
        self._sample: list[Float32[np.ndarray, "queries dim"]] = []
        self._kept = list(description.segments)
        require_own_place(folder / SEGMENTS)
        (folder / SEGMENTS).mkdir(parents=True, exist_ok=True)
        if self._kept and self._kept[-1].num_items < min(FLAT_BELOW, segment_rows):
            self._take_up_the_last()

    def _take_up_the_last(self) -> None:
        for path, problem in self._kept[-1].problems(self.folder, whole=True).items():
            raise damaged(path, problem)  # it would be sealed again
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
            vectors: unit length, each with what is added to its scores.
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
        """Write what is left, and delete files that no longer count; returns what index.json says."""
        left = sum(map(len, self._vectors))
        if left:
            self._write(left)
        if not left or self._replaces:
            self._seal()
        named = {segment.name for segment in self.description.segments}
        for path in (self.folder / SEGMENTS).iterdir():
            is_old = path.stem in self._before or is_ours(path.stem)
            if path.suffix in SUFFIXES and is_old and path.stem not in named:
                with suppress(OSError):  # the index does not need it any more; the next writer tries again
                    path.unlink()
        return self.description

    def _write(self, num_items: int) -> None:
        """One segment of the first items that wait."""
        vectors, table = np.concatenate(self._vectors), pa.concat_tables(self._tables)
        self._vectors, self._tables = [vectors[num_items:]], [table.slice(num_items)]
        vectors, table = vectors[:num_items], table.slice(0, num_items)
        sample = np.concatenate(self._sample)[:SAMPLE] if self._sample else _spread(vectors, self.description.dim)
        segment = Segment(new_name(), dict(Counter(table["modality"].to_pylist())), "", 0, 0, 1.0)
        built = build(segment.file(self.folder, ".faiss"), vectors, sample, self.description.precision)
        write_items(segment.file(self.folder, ".parquet"), table)
        self._kept.append(_sealed(replace(segment, **built._asdict()), self.folder))
        if not self._replaces:
            self._seal()

    def _seal(self) -> None:
        if _sealed_state(self.folder) != self._read:
            raise IndexFolderError(f"{self.folder} was changed by another process meanwhile. Give the command again.")
        self.description = replace(self.description, segments=list(self._kept))
        write_description(self.folder, self.description)
        self._read = _sealed_state(self.folder)


def require_own_place(folder: Path) -> None:
    """Refuse to write and delete in a folder that is only linked to.

    Raises:
        IndexFolderError: it is.
    """
    if folder.is_symlink():
        raise IndexFolderError(
            f"{folder} is a symbolic link, and nothing is written or deleted through one. Put what it leads to in its "
            "place, or choose another out."
        )


def _sealed(segment: Segment, folder: Path) -> Segment:
    seals = {}
    for suffix in segment.suffixes:
        path = segment.file(folder, suffix)
        seals[suffix] = seal_of(path, (bulk_of_items if suffix == ".parquet" else bulk_of_vectors)(path))
    return replace(segment, files=seals)


def _sealed_state(folder: Path) -> str | None:
    """Changes whenever something is sealed."""
    path = folder / INDEX
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _segments_in(folder: Path) -> list[str] | None:
    """Names of the segments of an index, none where there is no index; None where they cannot be known."""
    try:
        description = read_description(folder)
    except IndexFolderError:
        return None
    return [segment.name for segment in description.segments] if description else []


def _spread(vectors: Float32[np.ndarray, "items width"], dim: int) -> Float32[np.ndarray, "sample width"]:
    """Vectors at even distances, as queries for which nothing is added to scores."""
    some = vectors[np.linspace(0, len(vectors) - 1, min(SAMPLE, len(vectors))).astype(np.int64)]
    some[:, dim:] = 0
    return some
