"""What the header pass over a tar gave, kept beside it; and the pass over many tars, by many processes.

Place in the flow: tars -> tables of their samples (tars.py), quick from the second time on -> webdataset.py.
Not here: reading single samples (tar_reader.py).

Files:
    00000.tar.fusemix-image   the table of 00000.tar, as Parquet; its metadata say which state of the tar it is of

Where the folder of the tars cannot be written, the table lies in the user's cache. Both may be deleted at any time, and
neither is believed: whoever can write a tar can write what lies beside it, so a table of another state, or one that
names bytes that the tar does not have, does not count.
"""

import contextlib
import json
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fusemix.datasets.endings import endings
from fusemix.datasets.tars import BLOCK, SCHEMA, scan_tar
from fusemix.disk.files import sha256_of_json, write_atomic
from fusemix.disk.regular import open_regular
from fusemix.disk.temporary import remove_leftovers
from fusemix.machine.environment import usable_cores
from fusemix.machine.orphans import end_with_parent
from fusemix.parts.own_code import user_cache
from fusemix.remote.paths import Remote

VERSION = 5
"""Counted up when scan_tar gives something else for the same tar."""
OF_WHAT = b"fusemix.tar"
MOST_PROCESSES = 16
AHEAD = 4
"""Tars that each process may be ahead of the table that is asked for."""
WORTH_PROCESSES = 1 << 25
"""Bytes of tars from which on processes are started: headers of less are read sooner."""
START_METHOD = "fork" if sys.platform == "linux" else None


def tar_tables(paths: Sequence[Path | Remote], modality: str) -> Iterator[pa.Table]:
    """What `scan_tar` gives for each tar, in order; what is kept is read, and other tars by several processes.

    Headers are read by Python, so threads would wait for one another.
    """
    forget_leftovers(paths)
    count = min(len(paths), MOST_PROCESSES, usable_cores())
    if count < 2 or sum(path.stat().st_size for path in paths) < WORTH_PROCESSES:
        yield from (tar_table(path, modality) for path in paths)
        return
    context: Any = multiprocessing.get_context(START_METHOD)
    with ProcessPoolExecutor(count, context, initializer=_begin) as pool:
        ahead: deque[tuple[Path | Remote, pa.Table | Future[pa.Table]]] = deque()
        try:
            for path in paths:
                table = kept_table(path, modality)
                ahead.append((path, pool.submit(_read, path, modality) if table is None else table))
                if len(ahead) > AHEAD * count:
                    yield _awaited(*ahead.popleft(), modality)
            while ahead:
                yield _awaited(*ahead.popleft(), modality)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """What each process does first: how a command ends is its parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()


def _awaited(path: Path | Remote, table: pa.Table | Future[pa.Table], modality: str) -> pa.Table:
    if not isinstance(table, Future):
        return table
    try:
        return table.result()
    except BrokenProcessPool:  # one was killed, for lack of memory perhaps
        return _read(path, modality)


def tar_table(path: Path | Remote, modality: str) -> pa.Table:
    """What `scan_tar` gives, as it is kept where the tar has not changed since."""
    table = kept_table(path, modality)
    return _read(path, modality) if table is None else table


def beside(path: Path, modality: str) -> Path:
    """Where a tar's table is kept."""
    return path.with_name(f"{path.name}.fusemix-{modality}")


def _places(path: Path | Remote, modality: str) -> list[Path]:
    """Where it may be kept, the first that can be written; of a tar behind a URL, on this machine alone."""
    name = sha256_of_json([str(path.absolute() if isinstance(path, Path) else path), modality])[:32]
    other = user_cache() / "tars" / f"{name}.parquet"
    return [beside(path, modality), other] if isinstance(path, Path) else [other]


def _read(path: Path | Remote, modality: str) -> pa.Table:
    about = _about(path, modality)
    table = scan_tar(path, modality)
    if _about(path, modality) == about:  # nobody has written to it meanwhile
        _keep(path, modality, table.replace_schema_metadata({OF_WHAT: about}))
    return table


def _keep(path: Path | Remote, modality: str, table: pa.Table) -> None:
    places = _places(path, modality)
    for place in places:
        with contextlib.suppress(OSError):  # a folder that cannot be written to
            if place == places[-1]:
                place.parent.mkdir(parents=True, exist_ok=True)
            elif place.exists() and not _is_ours(place):
                continue
            with write_atomic(place) as file:
                pq.write_table(table, file, write_page_checksum=True)
            return


def _is_ours(place: Path) -> bool:
    with contextlib.suppress(OSError, pa.ArrowException), open_regular(place) as file:
        return OF_WHAT in (pq.read_metadata(file).metadata or {})
    return False


def _about(path: Path | Remote, modality: str) -> bytes:
    """Which state of a tar a table is of, and by which rules."""
    state = path.stat()
    about = {"version": VERSION, "modality": modality, "endings": endings(modality)}
    return json.dumps({**about, "num_bytes": state.st_size, "mtime_ns": state.st_mtime_ns}).encode()


def kept_table(path: Path | Remote, modality: str) -> pa.Table | None:
    """The table of a tar as it is now, where one is kept that may be believed."""
    about = _about(path, modality)
    num_bytes = json.loads(about)["num_bytes"]
    for place in _places(path, modality):
        with contextlib.suppress(OSError, pa.ArrowException), open_regular(place) as file:
            if (table := _believable(file, about, num_bytes)) is not None:
                return table
    return None


def _believable(file: Any, about: bytes, num_bytes: int) -> pa.Table | None:
    """The table that a file holds; None where it is of something else, or cannot be of a tar of so many bytes."""
    with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        found = parquet.metadata
        unpacked = sum(found.row_group(group).total_byte_size for group in range(found.num_row_groups))
        if (found.metadata or {}).get(OF_WHAT) != about or not parquet.schema_arrow.equals(SCHEMA):
            return None
        if found.num_rows > 3 * (num_bytes // BLOCK + 1) or unpacked > 2 * num_bytes + (1 << 20):
            return None
        table = parquet.read().replace_schema_metadata()
    table.validate(full=True)
    usable = table.filter(table["reason"].is_null())
    if any(usable[name].null_count for name in ("key", "offset", "num_bytes", "caption")):
        return None
    offsets, sizes = (usable[name].to_numpy() for name in ("offset", "num_bytes"))
    lies_within = (offsets >= 0) & (sizes > 0) & (sizes <= num_bytes) & (offsets <= num_bytes - sizes)
    is_unique = pc.call_function("count_distinct", [usable["key"]]).as_py() == len(usable)
    return table if lies_within.all() and is_unique else None


def forget_leftovers(paths: Sequence[Path | Remote]) -> None:
    """Remove what dead writers have left half written, once a folder and not once a tar."""
    for folder in {*(path.parent for path in paths if isinstance(path, Path)), user_cache() / "tars"}:
        remove_leftovers(folder, depth=0)
