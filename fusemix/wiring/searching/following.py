"""What has changed in a folder since it was indexed: files that are new, others, gone, or there by another road.

Place in the flow: Collection, the index as it is -> Changes -> indexing.py.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from fusemix.models.places import root_now
from fusemix.remote.paths import Remote, located
from fusemix.search.folder import Index
from fusemix.search.table import STATE
from fusemix.urls import is_url
from fusemix.wiring.searching.collections import Collection

SEEN = tuple(STATE.names[:2])
"""What is seen of a file without reading it: its size, and when it was changed."""


class Changes(NamedTuple):
    """What is to be done about a collection; places count its items.

    Attributes:
        new: items to embed that the index does not hold.
        changed: items to embed again.
        touched: items whose files have another time, and the same content.
        vanished: ids of items that are not there any more.
        num_held: items of that origin that the index holds.
        num_removed: items that stay out, since they were removed from the index.
    """

    new: Int64[np.ndarray, " new"]
    changed: Int64[np.ndarray, " changed"]
    touched: Int64[np.ndarray, " touched"]
    vanished: list[str]
    num_held: int
    num_removed: int


NONE = np.zeros(0, dtype=np.int64)


def new_places(collection: Collection, there: Index | None) -> tuple[Int64[np.ndarray, " new"], int]:
    """Places of items that an index does not hold, and that nobody has removed from it; and how many were removed.

    A file that the index holds by another road is not new, and of two roads to one file the first is taken. A file that
    was removed stays away by any road; where its content is another now, it is another file by another road.
    """
    ids, resolved = pa.array(collection.ids, pa.string()), _resolved(collection)
    is_held, is_removed = np.zeros((2, len(ids)), dtype=bool)
    for batch in there.columns(["id"]) if there else ():
        is_held |= _is_in(ids, batch["id"])
    seen = _files_of_others(there, collection) if there and resolved else set()
    for place, path in enumerate(resolved):
        is_held[place] |= path in seen
        seen.add(path)
    if there:
        is_removed = ~is_held & _is_in(ids, pa.array(there.description.removed, pa.string()))
        gone = _files_removed(there) if resolved else {}
        for place in [place for place, path in enumerate(resolved) if path in gone and not is_held[place]]:
            is_removed[place] |= gone[resolved[place]] in (None, sha256_of(collection, place))
    return np.flatnonzero(~is_held & ~is_removed), int(is_removed.sum())


def _is_in(ids: pa.Array, some: pa.Array) -> Bool[np.ndarray, " ids"]:
    return pc.call_function("is_in", [ids], pc.SetLookupOptions(some)).to_numpy(zero_copy_only=False)


def _resolved(collection: Collection) -> list[str]:
    """Where the files of a collection really lie; none where they are no files of this machine."""
    folder = _local(collection)
    return [] if folder is None else [os.path.realpath(folder / path) for path in collection.paths.to_pylist()]


def _local(collection: Collection) -> Path | None:
    """The folder of a collection of files on this machine."""
    if collection.side is not None or isinstance(folder := located(collection.origin["path"]), Remote):
        return None
    return folder


def _files_of_others(there: Index, collection: Collection) -> set[str]:
    """Files of the index that come from other folders above or below this one."""
    sources, own = there.description.sources, Path(collection.origin["path"]).resolve()
    roots = {}
    for number, source in enumerate(sources):
        root = Path(str(source["path"])).resolve()
        is_near = root.is_relative_to(own) or own.is_relative_to(root)
        if source["kind"] == "folder" and is_near and source["prefix"] != collection.origin["prefix"]:
            roots[number] = root
    found = set()
    for batch in there.columns(["source", "path"]) if roots else ():
        for number, path in zip(batch["source"].to_pylist(), batch["path"].to_pylist(), strict=True):
            if number in roots:
                found.add(os.path.realpath(root_now(sources[number], there.folder, path) / path))
    return found


def _files_removed(there: Index) -> dict[str, str | None]:
    """Where files really lie that were removed from an index -> their hashes, as far as these are known."""
    about = there.description
    return {
        os.path.realpath(root_now(source, there.folder, path) / path): about.removed_sha256.get(item)
        for source in about.sources
        if source["kind"] == "folder" and not is_url(str(source["path"]))
        for item, path in _below(source["prefix"], about.removed)
    }


def _below(prefix: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of some ids that begin with the prefix of a folder, and the paths in it that they are."""
    yield from ((one, one.removeprefix(prefix)) for one in ids if one.startswith(prefix))


def changes_of(collection: Collection, number: int, there: Index) -> Changes:
    """What a folder has become since it was indexed.

    Args:
        collection: of files.
        number: of its origin.
        there: the index.
    """
    batches = list(there.columns(["id", "sha256", *SEEN], f"source = {number}"))
    new, num_removed = new_places(collection, there)
    if not batches:
        return Changes(new, NONE, NONE, [], 0, num_removed)
    held = pa.Table.from_batches(batches)
    ids = pa.array(collection.ids, pa.string())
    at = pc.call_function("index_in", [ids], pc.SetLookupOptions(held["id"])).fill_null(-1).to_numpy()
    is_held = at >= 0
    is_there = pc.call_function("is_in", [held["id"]], pc.SetLookupOptions(ids))
    vanished = held["id"].filter(pc.call_function("invert", [is_there])).to_pylist()
    now, before = states_of(collection), np.column_stack([held[name].fill_null(-1).to_numpy() for name in SEEN])
    others = np.flatnonzero(is_held)
    others = others[(now[others] != before[at[others]]).any(axis=1)]
    hashes = held["sha256"].to_pylist()
    is_same = [
        now[place, 0] == before[at[place], 0] and hashes[at[place]] == sha256_of(collection, int(place))
        for place in others
    ]
    same = np.array(is_same, dtype=bool)
    return Changes(new, others[~same], others[same], vanished, len(held), num_removed)


def states_of(collection: Collection) -> Int64[np.ndarray, "items 2"]:
    """Size, and time of change in nanoseconds, of each file; -1 where it cannot be looked at, or is none."""
    found = np.full((len(collection.items), len(SEEN)), -1, dtype=np.int64)
    if collection.side is not None:
        return found
    folder = located(collection.origin["path"])
    names = collection.paths.to_pylist()
    if isinstance(folder, Remote):
        below = folder.below()
        for place, name in enumerate(names):
            if name in below:
                found[place] = below[name].st_size, below[name].st_mtime_ns
        return found
    for place, name in enumerate(names):
        with suppress(OSError, ValueError):
            status = os.stat(folder / name)  # noqa: PTH116 - millions of them
            found[place] = status.st_size, status.st_mtime_ns
    return found


def sha256_of(collection: Collection, place: int) -> str | None:
    """Hash of a file, in hexadecimal; None where it cannot be read, or lies behind a URL."""
    if _local(collection) is None:
        return None
    try:
        return hashlib.sha256(collection.items.read(place)).hexdigest()
    except Exception:  # a file that is gone or has changed its kind meanwhile
        return None
