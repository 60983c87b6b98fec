"""Long columns in Arrow: millions of texts in a few bytes each beyond their letters.

Place in the flow: rows that a data set streams -> Arrow tables -> captioned_files.py, hub.py, pairs.py.
Not here: what the columns mean.

A Python string costs about 50 bytes beyond its letters, and a dict entry 100 more, so whole columns never become
lists or dicts: rows are gathered and given out again in chunks. A column is worked on as the list of its chunks,
in place, so that a filtered copy takes the room of what it replaces.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64, UInt64

ROWS_AT_ONCE = 65_536
"""Rows that are Python objects at a time."""
PARTITIONS = 16
POOL = pa.system_memory_pool()
"""Holds what stays: of many arrays of some MB, Arrow's usual allocator keeps nearly twice their size."""


def gather(rows: Iterable[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Collect a stream of rows.

    Half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes U+FFFD.

    Args:
        rows: one value a column each.
        schema: names and types of the columns.
    """
    stream = iter(rows)
    batches = []
    while part := list(islice(stream, ROWS_AT_ONCE)):
        columns = zip(zip(*part, strict=True), schema.types, strict=True)
        batches.append(pa.record_batch([_array(column, kind) for column, kind in columns], schema=schema))
    return pa.Table.from_batches(batches, schema)


def _array(column: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(column, kind, memory_pool=POOL)
    except UnicodeEncodeError:
        whole = (text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in column)
        return pa.array(list(whole), kind, memory_pool=POOL)


def values(chunks: Iterable[pa.Array]) -> Iterator[Any]:
    """The Python values of a column, one after another."""
    for chunk in chunks:
        for at in range(0, len(chunk), ROWS_AT_ONCE):
            yield from chunk.slice(at, ROWS_AT_ONCE).to_pylist()


def keep(chunks: list[pa.Array], mask: Bool[np.ndarray, " rows"]) -> list[pa.Array]:
    """Keep the rows where a mask is true, in place, and hand the list back."""
    at = 0
    for place, chunk in enumerate(chunks):
        here = mask[at : at + len(chunk)]
        at += len(chunk)
        if not here.all():
            chunks[place] = settled(chunk.filter(pa.array(here)))
    return chunks


def are_full(texts: list[pa.Array]) -> Bool[np.ndarray, " rows"]:
    """Which texts are not empty."""
    lengths = [pc.call_function("binary_length", [chunk]).to_numpy() for chunk in texts]
    return np.concatenate(lengths) > 0 if lengths else np.zeros(0, dtype=bool)


def settled(array: pa.Array) -> pa.Array:
    """A copy that takes no more room than it needs, for an array that stays."""
    # Arrow copies where there are two arrays to join, if only one of them holds anything.
    return pa.concat_arrays([array, array.slice(0, 0)], memory_pool=POOL)


def numbered(chunks: list[pa.Array]) -> tuple[Int64[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
    """Number texts 0, 1, 2, … in the order of their first appearance; equal texts share a number.

    Texts are compared by 128 bits of BLAKE2b, which takes a fifth of the memory of Arrow's hash table. That two of
    a billion different texts are taken for one has a probability below 1e-20.

    Args:
        chunks: of type `string`, without nulls.

    Returns:
        The number of each row, and whether its text appears there for the first time.
    """
    leaders = _first_rows_alike(_digests(chunks))
    first = leaders == np.arange(len(leaders))
    number_at = np.cumsum(first)
    number_at -= 1
    return number_at[leaders], first


def _digests(chunks: list[pa.Array]) -> UInt64[np.ndarray, "2 rows"]:
    words = np.empty((2, sum(map(len, chunks))), dtype=np.uint64)
    texts = values(chunk.cast(pa.binary()) for chunk in chunks)
    for at in range(0, words.shape[1], ROWS_AT_ONCE):
        digests = b"".join(blake2b(text, digest_size=16).digest() for text in islice(texts, ROWS_AT_ONCE))
        words[:, at : at + ROWS_AT_ONCE] = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2).T
    return words


def _first_rows_alike(words: UInt64[np.ndarray, "2 rows"]) -> Int64[np.ndarray, " rows"]:
    """For each row the first one with the same two words; sorted part by part, since sorting needs much room."""
    leaders = np.empty(words.shape[1], dtype=np.int64)
    part_of = (words[0] % PARTITIONS).astype(np.uint8)
    for part in range(PARTITIONS):
        rows = np.flatnonzero(part_of == part)
        here = words[:, rows]
        order = np.lexsort(here)  # stable, so equal rows stay in order
        here = here[:, order]
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (here[:, 1:] != here[:, :-1]).any(axis=0)
        leaders[rows[order]] = rows[order[new]][np.cumsum(new) - 1]
    return leaders
