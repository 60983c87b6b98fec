"""Read latents back and compare them with what their manifest says.

Place in the flow: a sealed store or set -> what is damaged in it, by name.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from fusemix.files import sha256_of_file
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.manifest import MANIFEST, Manifest, read_manifest, size_problem
from fusemix.latents.sets import SET, read_description


class Damage(NamedTuple):
    """A file that is not what it was when it was sealed; `shard` is its index, where it is one."""

    path: Path
    problem: str
    shard: int | None = None

    def __str__(self) -> str:
        return f"{self.path} {self.problem}"


def damaged_shards(
    folder: Path, manifest: Manifest, *, read_back: bool, advance: Callable[[int], None] = lambda num_bytes: None
) -> list[Damage]:
    """Shards of a sealed store that are missing, cut off, or changed.

    Args:
        folder: of the store.
        manifest: of the store.
        read_back: compare every byte with the recorded hash; otherwise only sizes.
        advance: called with the number of bytes just read.
    """
    found = []
    for index, shard in enumerate(manifest.shards):
        problem = size_problem(folder, shard)
        if problem is None and read_back and sha256_of_file(folder / shard.file) != shard.sha256:
            rows = (index * manifest.shard_size, index * manifest.shard_size + shard.num_rows - 1)
            problem = f"(rows {rows[0]:,} to {rows[1]:,}) does not have the content that it was sealed with"
        if problem:
            found.append(Damage(folder / shard.file, problem, index))
        advance(shard.num_bytes)
    return found


def damaged_tables(folder: Path) -> list[Damage]:
    """Item tables and links of a set that cannot be read, or have changed."""
    about = read_description(folder / SET)
    found = []
    for side in ("left", "right"):
        path = folder / f"items-{about[side]['modality']}.parquet"
        if problem := _table_problem(path, about[side]["sha256"], items_sha256):
            found.append(Damage(path, problem))
    path = folder / "links.parquet"
    if problem := _table_problem(path, about["links_sha256"], _links_sha256):
        found.append(Damage(path, problem))
    return found


def _table_problem(path: Path, sha256: str, hash_of: Callable[..., str]) -> str | None:
    try:
        return None if hash_of(pq.read_table(path)) == sha256 else f"does not have the content that {SET} names"
    except (OSError, ValueError) as error:  # ValueError: what pyarrow raises for a damaged file
        return f"cannot be read: {str(error).splitlines()[0]}"


def _links_sha256(table: object) -> str:
    columns = [table[name].to_numpy() for name in ("left_row", "right_row")]  # pyright: ignore[reportIndexIssue]
    return hashlib.sha256(np.ascontiguousarray(np.column_stack(columns), dtype="<i8").tobytes()).hexdigest()


def stores_of(folder: Path) -> list[Path]:
    """The sealed stores in a latent set, or the store itself.

    Raises:
        LatentStoreError: the folder is neither.
    """
    if (folder / SET).is_file():
        return sorted(path.parent for path in folder.glob(f"*/*/{MANIFEST}"))
    read_manifest(folder)
    return [folder]


def num_bytes(folder: Path) -> int:
    """Size of all shards of a store."""
    return sum(shard.num_bytes for shard in read_manifest(folder).shards)
