"""Item tables of the first process, for the other processes of a command: mapped into memory, and not made again.

Place in the flow: Items of the first process -> files in the set's folder while the command runs -> the others' Items.

To list millions of files, to look each of them up and to read their captions takes minutes, and a process that mapped
the tables of another one shares the memory that they take. A data set whose reader is one of its own is loaded by each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fusemix.datasets.pairs import FileReader, TextReader, file_reader, text_reader
from fusemix.datasets.remote_files import RemoteReader, remote_reader
from fusemix.datasets.tar_reader import TarReader, tar_reader
from fusemix.disk.temporary import forget, temporary
from fusemix.interfaces import Items, Raw
from fusemix.latents.item_tables import ROWS_AT_ONCE

READERS: Mapping[type, Callable[[pa.Table], Callable[[int], Raw]]] = {
    FileReader: file_reader,
    RemoteReader: remote_reader,
    TarReader: tar_reader,
    TextReader: text_reader,
}
"""What reads the items of a table, and what makes it of a table alone."""


class Handed(NamedTuple):
    """One side of a pair set, as it is told to other processes."""

    modality: str
    path: Path
    reader: type


@contextmanager
def handing(folder: Path, sides: Sequence[Items]) -> Iterator[list[Handed] | None]:
    """Write the tables of both sides down for as long as the command runs.

    Args:
        folder: that all processes see.
        sides: of one pair set.

    Yields:
        What to tell the others; None where they have to load the data set.
    """
    paths = [temporary(folder / f"items-{items.modality}.arrow") for items in sides]
    try:
        yield _written(paths, sides)
    finally:
        for path in paths:
            forget(path)


def _written(paths: list[Path], sides: Sequence[Items]) -> list[Handed] | None:
    if not all(type(items.read) in READERS for items in sides):
        return None
    with suppress(OSError):  # a disk that is full now may do for latents, which are smaller
        for path, items in zip(paths, sides, strict=True):
            table = items.table.unify_dictionaries()
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, ROWS_AT_ONCE)
        return [Handed(one.modality, path, type(one.read)) for one, path in zip(sides, paths, strict=True)]
    return None


def taken(handed: Handed) -> Items:
    """A side that another process has written down."""
    table = pa.ipc.open_file(pa.memory_map(str(handed.path))).read_all()
    return Items(handed.modality, table, READERS[handed.reader](table))
