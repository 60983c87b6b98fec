"""Read latents back and compare them with what their manifest says.

Place in the flow: a sealed store or set -> what is damaged in it, by name.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fusemix.disk.files import sha256_of_file
from fusemix.latents.content import content_name, read_content
from fusemix.latents.description import SET, read_description
from fusemix.latents.manifest import MANIFEST, QUARANTINE, Manifest, read_manifest, size_problem
from fusemix.latents.quarantine import quarantine_problem
from fusemix.latents.set_writer import damaged_files


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
    """Item tables, links and list of what was left out of a set that cannot be read, or have changed."""
    found = damaged_files(folder, read_description(folder / SET), read_back=True)
    return [Damage(folder / name, problem) for name, problem in found.items()]


def damaged_notes(folder: Path, manifest: Manifest) -> list[Damage]:
    """What stands beside the shards of a sealed store and is missing or has changed: its quarantine, and digests."""
    found = []
    if problem := quarantine_problem(folder, manifest.num_rejected, manifest.quarantine_sha256):
        found.append(Damage(folder / QUARANTINE, problem))
    for index, shard in enumerate(manifest.shards):
        if shard.content_sha256 and read_content(folder, index, shard.content_sha256) is None:
            found.append(Damage(folder / content_name(index), "is missing, or not what it was sealed with", index))
    return found


def stores_of(folder: Path) -> list[Path]:
    """The sealed stores in a latent set, or the store itself.

    Raises:
        LatentStoreError: the folder is neither.
    """
    if (folder / SET).is_file():
        return sorted(path.parent for path in folder.glob(f"*/[!.]*/{MANIFEST}"))
    read_manifest(folder)
    return [folder]


def num_bytes(folder: Path) -> int:
    """Size of all shards of a store."""
    return sum(shard.num_bytes for shard in read_manifest(folder).shards)
