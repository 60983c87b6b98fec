"""Captions that wait in an Arrow column until they are paired.

Place in the flow: tables that webdataset.py and visual_genome.py have built -> pair_captions.
"""

from collections.abc import Iterator

import pyarrow as pa


def parted(table: pa.Table, name: str) -> tuple[pa.Table, Iterator[tuple[int, str]]]:
    """A table without its column of captions, and (row, caption) out of that column, of texts or lists of them.

    A part of the column is let go of once it is given out, if the caller keeps no reference to the table: five million
    captions need not be held twice while others collect them.
    """
    return table.drop_columns(name), _given_out(table[name].chunks)


def _given_out(chunks: list[pa.Array]) -> Iterator[tuple[int, str]]:
    row = 0
    chunks.reverse()
    while chunks:
        for captions in chunks.pop().to_pylist():
            for caption in captions if isinstance(captions, list) else [captions]:
                yield row, caption
            row += 1
