"""Whether rows of one id hold one picture or sound: an id that does not identify links captions with other pictures.

Place in the flow: rows of a hub data set and their numbers by id -> nothing, or a refusal.
"""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from datasets import Dataset
from jaxtyping import Bool, Int64

from fusemix.errors import DatasetError

ROWS_READ = 256
WHOLE_BYTES = 65_536
BLOCKS, BLOCK_BYTES = 16, 4_096
"""What is compared of a longer file: so many stretches of so many bytes, evenly spaced, and its length."""


def require_same_media(
    rows: Dataset, column: str, numbers: Int64[np.ndarray, " rows"], alone: Bool[np.ndarray, " rows"], id_column: str
) -> None:
    """Refuse rows that share an id and hold different media.

    Args:
        rows: of the data set.
        column: of the undecoded pictures or sounds.
        numbers: of each row's id.
        alone: rows that need no other to be compared with: the first of each id, and those without one.
        id_column: for the message.

    Raises:
        DatasetError: two rows of one id differ.
    """
    if alone.all():
        return
    repeated = np.zeros(int(numbers.max()) + 1, dtype=bool)
    repeated[numbers[~alone]] = True
    wanted = repeated[numbers]
    known: dict[int, tuple[int, bytes]] = {}
    for row, digest in _digests(rows, column, wanted):
        first, own = known.setdefault(int(numbers[row]), (row, digest))
        if own != digest:
            raise DatasetError(
                f"rows {first} and {row} have the same id in the column {id_column!r}, but hold different media, so it "
                "does not identify them and captions would be linked with other pictures or sounds. Where "
                "dataset.options.columns.id names it, name another, or none: then each row is an item of its own."
            )


def _digests(rows: Dataset, column: str, wanted: Bool[np.ndarray, " rows"]) -> Iterator[tuple[int, bytes]]:
    """Row and digest of the wanted rows; Arrow's buffers are mapped, so the others are not read."""
    arrow = rows.select_columns([column]).with_format("arrow")
    for at in range(0, len(wanted), ROWS_READ):
        here = np.flatnonzero(wanted[at : at + ROWS_READ])
        if len(here):
            part = arrow[at : at + ROWS_READ][column]
            for place in here.tolist():
                yield at + place, _digest(part[place])


def _digest(media: pa.Scalar) -> bytes:
    if not media.is_valid:
        return b""
    content, path = media["bytes"], media["path"]
    if not content.is_valid:
        return str(path.as_py()).encode()
    buffer = memoryview(content.as_buffer())
    digest = blake2b(str(len(buffer)).encode(), digest_size=16)
    if len(buffer) <= WHOLE_BYTES:
        digest.update(buffer)
        return digest.digest()
    for start in np.linspace(0, len(buffer) - BLOCK_BYTES, BLOCKS).astype(int).tolist():
        digest.update(buffer[start : start + BLOCK_BYTES])
    return digest.digest()
