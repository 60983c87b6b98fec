"""From media and their captions to a PairSet: unique items, links, and a list of what was left out.

Place in the flow: every captioned data set ends here.
Not here: file formats (caption_files.py) and hubs (hub.py).

A caption that occurs twice is one item with two links, so that no caption is a wrong answer
to its own picture; written twice for one picture it is one link that keeps its number of times. A medium without any
caption is left out and listed.

Millions of captions stay in Arrow and numpy; a function lets go of its input (`del`) before it makes the next copy.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

from fusemix.datasets.columns import ROWS_AT_ONCE, are_full, gather, keep, numbered, settled, values
from fusemix.disk.regular import read_regular
from fusemix.errors import DatasetError
from fusemix.interfaces import Items, PairSet, Raw, Rejected

CAPTIONS = pa.schema([("row", pa.int64()), ("caption", pa.string())])
WIDE = pa.large_string()
"""Of what is joined in one array, since `string` ends at 2 GB."""


@dataclass(frozen=True)
class TextReader:
    """Reads a caption out of the item table."""

    captions: pa.ChunkedArray

    def __call__(self, row: int) -> str:
        """Caption of a row."""
        return self.captions[row].as_py()


def text_reader(table: pa.Table) -> TextReader:
    """Reader of a table's column `caption`."""
    return TextReader(table["caption"])


@dataclass(frozen=True)
class FileReader:
    """Reads the bytes of the file behind an item."""

    paths: pa.ChunkedArray

    def __call__(self, row: int) -> bytes:
        """Bytes of the file of a row."""
        return read_regular(self.paths[row].as_py())


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
    captions: Iterable[tuple[int, str]] | pa.Table,
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
        captions: (row in `media`, caption), in the data set's order; or a table of `row` (int64) and `caption`
            (string, without space around it).
        excluded: what the data set has named and could not give.

    Raises:
        DatasetError: no pair is left.
    """
    table = _caption_table(captions)
    texts, rows = table["caption"].chunks, table["row"].to_numpy()
    del captions, table
    place, full = places_within(rows, len(media)), are_full(texts)
    left_out = [*excluded, *_empty_captions(media["id"], rows[~full].tolist(), place[~full].tolist())]
    if not full.any():
        raise DatasetError(f"{dataset}, split {split!r}: no pair is left. {_first_reasons(left_out)}")
    rows, place, texts = rows[full], place[full], keep(texts, full)
    linked = np.zeros(len(media), dtype=bool)
    linked[rows] = True
    left_out += [Rejected(item, "dataset", "no caption") for item in values(keep(media["id"].chunks, ~linked))]
    columns, schema = [column.chunks for column in media.columns], media.schema
    del media
    columns = [pa.chunked_array(keep(c, linked), kind) for c, kind in zip(columns, schema.types, strict=True)]
    kept = pa.table(columns, schema=schema)
    rows = (np.cumsum(linked) - 1)[rows]
    unique, (links, times) = _unique_captions(kept["id"], texts, rows, place)
    return PairSet(
        dataset=dataset,
        revision=revision,
        split=split,
        left=Items(modality, kept, reader(kept)),
        right=Items("text", unique, text_reader(unique)),
        links=links,
        excluded=tuple(left_out),
        times=times,
    )


def _caption_table(captions: Iterable[tuple[int, str]] | pa.Table) -> pa.Table:
    if isinstance(captions, pa.Table):
        return captions
    return gather(((row, caption.strip()) for row, caption in captions), CAPTIONS)


def _empty_captions(ids: pa.ChunkedArray, rows: list[int], places: list[int]) -> Iterator[Rejected]:
    for row, place in zip(rows, places, strict=True):
        yield Rejected(f"{ids[row].as_py()}#{place}", "dataset", "empty caption")


def _unique_captions(
    ids: pa.ChunkedArray,
    texts: list[pa.Array],
    rows: Int64[np.ndarray, " captions"],
    place: Int32[np.ndarray, " captions"],
) -> tuple[pa.Table, tuple[Int64[np.ndarray, "links 2"], Int64[np.ndarray, " links"] | None]]:
    """Table of unique captions, each named where it appears first, and what `counted_links` says of them."""
    codes, first = numbered(texts)
    names = _caption_ids(ids, rows[first], place[first])
    columns = [pa.chunked_array(chunks, pa.string()) for chunks in (names, keep(texts, first))]
    return pa.table(columns, names=["id", "caption"]), counted_links(rows, codes)


def _caption_ids(
    ids: pa.ChunkedArray, rows: Int64[np.ndarray, " captions"], place: Int32[np.ndarray, " captions"]
) -> list[pa.Array]:
    """A caption is named after its medium and its place among the captions of this: `3.jpg#0`."""
    parts = []
    for at in range(0, len(rows), ROWS_AT_ONCE):
        here = rows[at : at + ROWS_AT_ONCE]
        # Arrow joins all chunks to take from them, so only the stretch that is needed is taken from.
        low = int(here.min())
        stretch = ids.slice(low, int(here.max()) - low + 1).cast(WIDE).combine_chunks()
        numbers = pa.array(place[at : at + ROWS_AT_ONCE]).cast(WIDE)
        named = [stretch.take(pa.array(here - low)), numbers, pa.scalar("#", WIDE)]
        parts.append(settled(pc.call_function("binary_join_element_wise", named).cast(pa.string())))
    return parts


def places_within(rows: Int64[np.ndarray, " captions"], num_media: int) -> Int32[np.ndarray, " captions"]:
    """How many earlier captions belong to the same medium.

    Args:
        rows: of the media, in [0, num_media).
        num_media: how many media there are.
    """
    seen = np.zeros(num_media, dtype=np.int64)
    places = np.empty(len(rows), dtype=np.int32)
    for at in range(0, len(rows), ROWS_AT_ONCE):
        here = rows[at : at + ROWS_AT_ONCE]
        order = np.argsort(here, kind="stable")
        media, starts, counts = np.unique(here[order], return_index=True, return_counts=True)
        places[at + order] = np.arange(len(here)) - np.repeat(starts, counts) + np.repeat(seen[media], counts)
        seen[media] += counts
    return places


def counted_links(
    left: Int64[np.ndarray, " links"], right: Int64[np.ndarray, " links"]
) -> tuple[Int64[np.ndarray, "_ 2"], Int64[np.ndarray, " _"] | None]:
    """The distinct pairs of two columns of rows, in order of the left row, then of the right, and how often each is.

    A pair is one number while it is sorted, which is faster than `np.unique(axis=0)`. `right` is overwritten.

    Returns:
        The pairs, and how often each occurs; None where all occur once.
    """
    width = int(right.max(initial=0)) + 1
    keys, times = right, None
    keys += left * width
    keys.sort()
    new = np.r_[True, keys[1:] != keys[:-1]][: len(keys)]
    if not new.all():
        times = np.diff(np.flatnonzero(np.r_[new, True]))
        keys = keys[new]
    links = np.empty((len(keys), 2), dtype=np.int64)
    np.divmod(keys, width, out=(links[:, 0], links[:, 1]))
    return links, times


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
