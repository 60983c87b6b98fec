"""What a writer finds in the folder of its store, and what it makes of it.

Place in the flow: a folder, sealed, unfinished, foreign or not there -> one that StoreWriter can go on with.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from fusemix.disk.discarding import beside, clear_discarded, discard, require_free, require_ours
from fusemix.errors import LatentStoreError
from fusemix.latents.manifest import (
    MANIFEST,
    STARTED,
    Accepted,
    read_manifest,
    require_same_origin,
    write_manifest,
)
from fusemix.latents.quarantine import quarantine_problem, shards_with_gaps
from fusemix.latents.records import STORE, Started, is_ours, read_started, unseal, write_started
from fusemix.latents.verify import damaged_shards


def place_for(
    folder: Path, fingerprint: dict[str, Any], *, overwrite: bool, accept: Sequence[str] | None, joins: bool
) -> Path:
    """Where a store is written: in its folder, or beside a store of another fingerprint that it is to replace.

    Arguments and errors as those of StoreWriter.
    """
    if not joins:
        clear_discarded(folder)
    try:
        recorded = _recorded(folder)
        if recorded is not None:
            require_same_origin(folder, recorded, fingerprint, accept)
    except LatentStoreError:
        if not overwrite or not is_ours(folder):
            raise
        require_ours(folder, STORE)
        return beside(folder)
    return folder


def open_folder(
    folder: Path,
    ids: pa.ChunkedArray,
    fingerprint: dict[str, Any],
    source: dict[str, Any] | None,
    *,
    replaces: bool,
    verify: bool,
    accept: Sequence[str] | None,
) -> None:
    """Make a folder ready for a store of some fingerprint; arguments and errors as those of StoreWriter.

    Args:
        replaces: it lies beside a store that is to be replaced; what another command began there does not count.
    """
    accepted: list[Accepted] = []
    try:
        recorded = _recorded(folder)
        if recorded is not None:
            accepted = require_same_origin(folder, recorded, fingerprint, accept)
    except LatentStoreError:
        if not replaces:
            raise
        discard(folder, STORE)
    require_free(folder, STORE)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / MANIFEST).is_file():
        _note_in_manifest(folder, accepted)
        _unseal_damaged(folder, ids, verify)
        return
    started = read_started(folder) or Started(fingerprint, None, source=source)
    noted = _joined(started.accepted, accepted)
    if noted != started.accepted or not (folder / STARTED).is_file():
        write_started(folder, started._replace(accepted=noted))


def _recorded(folder: Path) -> dict[str, Any] | None:
    if (folder / MANIFEST).is_file():
        return read_manifest(folder).fingerprint
    started = read_started(folder)
    return started.fingerprint if started else None


def _joined(noted: tuple[Accepted, ...], accepted: Sequence[Accepted]) -> tuple[Accepted, ...]:
    return (*noted, *(one for one in accepted if one not in noted))


def _note_in_manifest(folder: Path, accepted: Sequence[Accepted]) -> None:
    manifest = read_manifest(folder)
    noted = _joined(manifest.accepted, accepted)
    if noted != manifest.accepted:
        write_manifest(folder, replace(manifest, accepted=noted))


def _unseal_damaged(folder: Path, ids: pa.ChunkedArray, verify: bool) -> None:
    """Open a sealed store that has lost a shard, or the list of what is set aside, as one that lacks it."""
    manifest = read_manifest(folder)
    found = [damage.shard for damage in damaged_shards(folder, manifest, read_back=verify)]
    damaged = {index for index in found if index is not None}
    if quarantine_problem(folder, manifest.num_rejected, manifest.quarantine_sha256):
        # Only the shards know now which rows these are; made again, they say again why.
        damaged |= shards_with_gaps(folder, manifest, passing_over=damaged)
    elif not damaged:
        return
    unseal(folder, manifest, ids, damaged)
