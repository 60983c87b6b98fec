"""Links of a latent set, and how often each was written, as a file and as hashes.

Place in the flow: PairSet.links, PairSet.times <-> links.parquet, batch by batch.

The column `times` stands only where a caption was written more than once for one item; without it all are 1.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from fusemix.disk.files import write_atomic
from fusemix.latents.item_tables import CHANGED, ROWS_AT_ONCE, ROWS_IN_GROUP, require_sound, table_problem, unreadable

LINKS = "links.parquet"
COLUMNS = ("left_row", "right_row")
TIMES = "times"
COUNTED = ("num_captions", "times_sha256")
"""What `set.json` says of times. Older sets do not have it, which counted no caption twice on one item."""
DESCRIBED = ("num_links", "links_sha256", *COUNTED)


class LinkTable(NamedTuple):
    """What `links.parquet` holds.

    Attributes:
        links: (left row, right row), each pair once.
        times: how often each was written; None where none was more than once.
    """

    links: Int64[np.ndarray, "links 2"]
    times: Int64[np.ndarray, " links"] | None = None


def read_links(path: Path) -> LinkTable:
    """All links of a file."""
    with pq.ParquetFile(path) as file:
        names = [*COLUMNS, TIMES] if TIMES in file.schema_arrow.names else COLUMNS
        found, at = np.empty((file.metadata.num_rows, len(names)), dtype=np.int64), 0
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            for place, name in enumerate(names):
                found[at : at + len(batch), place] = batch[name].to_numpy()
            at += len(batch)
    return LinkTable(found) if len(names) == len(COLUMNS) else LinkTable(found[:, :2].copy(), found[:, 2].copy())


def write_links(path: Path, table: LinkTable) -> None:
    """Write links."""
    columns = [*table.links.T] if table.times is None else [*table.links.T, table.times]
    schema = pa.schema([(name, pa.int64()) for name in (*COLUMNS, TIMES)[: len(columns)]])
    with write_atomic(path) as file, pq.ParquetWriter(file, schema) as writer:
        for at in range(0, len(table.links), ROWS_IN_GROUP):
            writer.write_table(pa.table([column[at : at + ROWS_IN_GROUP] for column in columns], schema=schema))


def described_links(table: LinkTable) -> dict[str, Any]:
    """What `set.json` says about links: their number and hashes, and of the times where there are any."""
    about = {"num_links": len(table.links), "links_sha256": _sha256(table.links)}
    if table.times is not None:
        about |= {"num_captions": int(table.times.sum()), "times_sha256": _sha256(table.times)}
    return about


def _sha256(rows: Int64[np.ndarray, "..."]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").data).hexdigest()


def links_problem(path: Path, about: Mapping[str, Any], *, read_back: bool) -> str | None:
    """What is wrong with a file of links, or None.

    Args:
        path: of the file.
        about: what `set.json` says, as `described_links` gives it; it may say more.
        read_back: compare the content; otherwise the number alone, which takes no longer for millions.
    """
    return _table_and_problem(path, about)[1] if read_back else table_problem(path, about["num_links"])


def read_sealed_links(path: Path, about: Mapping[str, Any]) -> LinkTable:
    """Links, which must be those that were sealed: wrong ones would train in silence.

    Raises:
        LatentStoreError: they are not.
    """
    table, problem = _table_and_problem(path, about)
    require_sound(path, problem)
    assert table is not None
    return table


def _table_and_problem(path: Path, about: Mapping[str, Any]) -> tuple[LinkTable | None, str | None]:
    if problem := table_problem(path, about["num_links"]):
        return None, problem
    try:
        table = read_links(path)
    except (OSError, ValueError, KeyError) as error:
        return None, unreadable(error)
    if "times_sha256" not in about:  # a file that was counted later, and then killed before `set.json`
        table = LinkTable(table.links)
    sealed = {key: about[key] for key in DESCRIBED if key in about}
    return table, None if described_links(table) == sealed else CHANGED
