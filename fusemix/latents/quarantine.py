"""Which items of a store have no latent: the list, its guard, and how many there may be.

Place in the flow: writer.py writes the list when it seals; store.py compares it with the manifest before it reads.
"""

import hashlib
from collections.abc import Container, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from fusemix.disk.files import read_jsonl
from fusemix.errors import DamagedFileError, LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.manifest import QUARANTINE, Manifest
from fusemix.parts.kinds import record_of

ENOUGH_TO_JUDGE = 1024
"""Items after which the share of bad ones is taken as it is."""
SHOWN = 5
"""Items that a message names."""


def read_quarantine(folder: Path) -> list[Rejected]:
    """Items of a sealed store, or entries of a set, that could not be used.

    Raises:
        DamagedFileError: a line is of another shape.
    """
    path = folder / QUARANTINE
    try:
        return [record_of(Rejected, row) for row in read_jsonl(path)] if path.is_file() else []
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}. Cache the latents again.") from error


def quarantine_sha256(folder: Path) -> str:
    """What guards the list; one that is not there is one that names nothing."""
    return hashlib.sha256(_bytes(folder)).hexdigest()


def quarantine_problem(folder: Path, num_listed: int, sha256: str | None) -> str | None:
    """What is wrong with the list of a sealed store or of a set, or None.

    Args:
        folder: of the store or set.
        num_listed: as it was sealed.
        sha256: of its bytes; None in what was sealed before this was noted, where lines are counted.
    """
    path = folder / QUARANTINE
    if not path.is_file() and num_listed:
        return f"is missing, and {num_listed:,} entries stood in it"
    content = _bytes(folder)
    if sha256 is None:
        found = sum(1 for line in content.split(b"\n") if line.strip())
        return None if found == num_listed else f"has {found:,} lines, not {num_listed:,}"
    if hashlib.sha256(content).hexdigest() == sha256:
        return None
    return "does not have the content that it was sealed with"


def _bytes(folder: Path) -> bytes:
    path = folder / QUARANTINE
    return path.read_bytes() if path.is_file() else b""


def shards_with_gaps(folder: Path, manifest: Manifest, passing_over: Container[int]) -> set[int]:
    """Shards that hold a row without latent, as their own NaN say."""
    found = set()
    for index, shard in enumerate(manifest.shards):
        if index not in passing_over:
            latents = np.load(folder / shard.file, mmap_mode="r", allow_pickle=False)
            if np.isnan(latents[:, 0]).any():
                found.add(index)
    return found


def refuse_mostly_bad(
    folder: Path, rejected: Iterable[Rejected], num_rejected: int, num_seen: int, num_rows: int, max_bad_fraction: float
) -> None:
    """Stop where more items were set aside than the user allows.

    Few items say little, and which ones come first depends on how many processes share the work: until
    `ENOUGH_TO_JUDGE` are seen, all others are taken to be sound.

    Args:
        folder: for the message.
        rejected: what was set aside; no more than the first few are looked at.
        num_rejected: how many these are.
        num_seen: items looked at.
        num_rows: items in all.
        max_bad_fraction: in [0, 1].

    Raises:
        LatentStoreError: there are too many of them.
    """
    if num_rejected > max_bad_fraction * max(num_seen, min(num_rows, ENOUGH_TO_JUDGE)):
        shown = "\n  ".join(f"{r.id} ({r.stage}): {r.reason}" for r in islice(rejected, SHOWN))
        raise LatentStoreError(
            f"{folder}: {num_rejected:,} of {num_seen:,} items so far could not be used, which is more than "
            f"max_bad_fraction={max_bad_fraction:g} allows:\n  {shown}\n"
            "What was encoded is kept. Fix the cause and run the same command with retry_rejected=true (without it, a "
            "finished shard keeps what it has set aside), or go on without these items by raising max_bad_fraction."
        )
