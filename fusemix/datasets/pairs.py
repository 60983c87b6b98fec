"""From media and their captions to a PairSet: unique items, links, and a list of what was left out.

Place in the flow: every captioned data set ends here.
Not here: file formats (caption_files.py) and hubs (hub.py).

A caption that occurs twice is one item with two links, so that no caption is a wrong answer
to its own picture. A medium without any caption is left out and listed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fusemix.errors import DatasetError
from fusemix.interfaces import Items, PairSet, Raw, Rejected


@dataclass(frozen=True)
class TextReader:
    """Reads a caption out of the item table."""

    captions: pa.ChunkedArray

    def __call__(self, row: int) -> str:
        """Caption of a row."""
        return self.captions[row].as_py()


@dataclass(frozen=True)
class FileReader:
    """Reads the bytes of the file behind an item."""

    paths: pa.ChunkedArray

    def __call__(self, row: int) -> bytes:
        """Bytes of the file of a row."""
        return Path(self.paths[row].as_py()).read_bytes()


def file_reader(table: pa.Table) -> FileReader:
    """Reader of the files that a table's column `path` names."""
    return FileReader(table["path"])


def pair_captions(
    *,
    dataset: str,
    revision: str,
    split: str,
    modality: str,
    media: pa.Table,
    reader: Callable[[pa.Table], Callable[[int], Raw]],
    captions: Iterable[tuple[int, str]],
    excluded: Iterable[Rejected] = (),
) -> PairSet:
    """Link media with their captions.

    Args:
        dataset: short name, for messages and reports.
        revision: which copy of the data this is.
        split: the split that was read.
        modality: of the media.
        media: table of unique media, column `id` first.
        reader: table of the media that are kept -> row -> Raw.
        captions: (row in `media`, caption), in the data set's order.
        excluded: what the data set has named and could not give.

    Raises:
        DatasetError: no pair is left.
    """
    ids = media["id"].to_pylist()
    texts, links, empty = _unique_captions(ids, captions)
    left_out = [*excluded, *empty]
    if not links:
        raise DatasetError(f"{dataset}, split {split!r}: no pair is left. {_first_reasons(left_out)}")
    unique = np.unique(np.array(links, dtype=np.int64), axis=0)
    linked = np.unique(unique[:, 0])
    for row in np.setdiff1d(np.arange(len(ids)), linked):
        left_out.append(Rejected(ids[row], "dataset", "no caption"))
    unique[:, 0] = np.searchsorted(linked, unique[:, 0])
    kept = media.take(pa.array(linked))
    return PairSet(
        dataset=dataset,
        revision=revision,
        split=split,
        left=Items(modality, kept, reader(kept)),
        right=Items("text", texts, TextReader(texts["caption"])),
        links=unique,
        excluded=tuple(left_out),
    )


def _unique_captions(
    ids: list[str], captions: Iterable[tuple[int, str]]
) -> tuple[pa.Table, list[tuple[int, int]], list[Rejected]]:
    """Table of unique captions, links to them, and the empty ones; a caption is named after its first medium."""
    rows_of: dict[str, int] = {}
    caption_ids: list[str] = []
    links: list[tuple[int, int]] = []
    empty: list[Rejected] = []
    seen = np.zeros(len(ids), dtype=np.int64)
    for media_row, caption in captions:
        caption_id = f"{ids[media_row]}#{seen[media_row]}"
        seen[media_row] += 1
        text = caption.strip()
        if not text:
            empty.append(Rejected(caption_id, "dataset", "empty caption"))
            continue
        if text not in rows_of:
            rows_of[text] = len(caption_ids)
            caption_ids.append(caption_id)
        links.append((media_row, rows_of[text]))
    table = pa.table({"id": pa.array(caption_ids, pa.string()), "caption": pa.array(rows_of, pa.string())})
    return table, links, empty


def _first_reasons(rejected: list[Rejected], most: int = 3) -> str:
    shown = "; ".join(f"{r.id}: {r.reason}" for r in rejected[:most])
    return f"{len(rejected):,} entries were left out ({shown}, …)." if rejected else "The source holds no entry."


def require_counts(pairs: PairSet, expected: tuple[int, int], *, num_captions: int) -> PairSet:
    """Compare a published split with its known size, and hand it back.

    Args:
        pairs: what was loaded.
        expected: published numbers of media and of captions.
        num_captions: captions loaded, repeated ones counted as often as they occur.

    Raises:
        DatasetError: the counts differ.
    """
    found = (len(pairs.left), num_captions)
    if found == expected:
        return pairs
    name = pairs.left.modality
    reasons = f"{_first_reasons(list(pairs.excluded))} " if pairs.excluded else ""
    raise DatasetError(
        f"{pairs.dataset}, split {pairs.split!r}: published with {expected[0]:,} {name} items and {expected[1]:,} "
        f"captions, but this copy gives {found[0]:,} and {found[1]:,}. Figures measured on it cannot be compared. "
        f"{reasons}Complete the copy, or set dataset.options.check_counts=false if this is meant."
    )
