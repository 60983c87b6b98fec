"""The manifest: the file that makes a folder of shards a latent store.

Place in the flow: written last by writer.py, read first by store.py.

Files of a store:
    manifest.json        sealed last; without it the folder is no store
    latents-00000.npy …  (rows, dim) in C order; every shard but the last has `shard_size` rows
    quarantine.jsonl     id, stage and reason of each item without latent; its row is NaN
While a store is being written, there are others instead of the manifest (records.py).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.errors import LatentStoreError
from fusemix.files import differences, read_json, write_json

MANIFEST = "manifest.json"
STARTED = "started.json"
QUARANTINE = "quarantine.jsonl"
FORMAT = "fusemix.latent_store"
VERSION = 1


class Shard(NamedTuple):
    """One file of latents."""

    file: str
    num_rows: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store holds and what made it.

    Attributes:
        encoder: the name that the user gave it; also the name of the folder.
        modality: of the items.
        num_rows: items, the rejected ones included.
        dim: width of a latent.
        dtype: of the files, `float16` or `float32`.
        shard_size: rows of every shard but the last.
        num_rejected: items without latent.
        fingerprint: all that changes the numbers: the encoder's own fingerprint, hash of the items, dtype.
        shards: the files, in order of rows.
        batch_size: items in one pass of the encoder; another one may change the last bits.
        source: `name` and `options` that build the encoder again, as the user wrote them; they are no part of the
            fingerprint. None where latents were imported, or cached before this was noted.
    """

    encoder: str
    modality: str
    num_rows: int
    dim: int
    dtype: str
    shard_size: int
    num_rejected: int
    fingerprint: dict[str, Any]
    shards: tuple[Shard, ...]
    batch_size: int | None = None
    source: dict[str, Any] | None = None


def shard_name(index: int) -> str:
    """File name of a shard."""
    return f"latents-{index:05d}.npy"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Seal a store."""
    shards = [shard._asdict() for shard in manifest.shards]
    write_json(folder / MANIFEST, {"format": FORMAT, "version": VERSION, **asdict(manifest), "shards": shards})


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a sealed store.

    Raises:
        LatentStoreError: there is none, or it is of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise LatentStoreError(_why_missing(folder))
    data = read_json(path)
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT or data.pop("version", None) != VERSION:
        raise LatentStoreError(f"{path} is not of format {FORMAT}, version {VERSION}. Cache the latents again.")
    data["shards"] = tuple(Shard(**shard) for shard in data["shards"])
    return Manifest(**data)


def size_problem(folder: Path, shard: Shard) -> str | None:
    """What is wrong with a shard that a look at the folder shows, or None."""
    path = folder / shard.file
    if not path.is_file():
        return "is missing"
    found = path.stat().st_size
    return None if found == shard.num_bytes else f"is {found:,} bytes long, not {shard.num_bytes:,}"


def _why_missing(folder: Path) -> str:
    if (folder / STARTED).is_file():
        finished = len(list(folder.glob("latents-*.npy")))
        return (
            f"{folder} has no {MANIFEST} ({finished} finished shards), so caching did not end there. "
            "Run cache_features.py again with the same config: it goes on where it stopped."
        )
    if folder.is_dir():
        return f"{folder} has no {MANIFEST}, so it is no latent store."
    beside = sorted(path.parent.name for path in folder.parent.glob(f"*/{MANIFEST}"))
    known = f"There are: {', '.join(beside)}." if beside else "Run cache_features.py first."
    return f"there is no latent store {folder}. {known}"


def refuse_difference(folder: Path, recorded: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare fingerprints.

    Raises:
        LatentStoreError: they differ; the message names every field that does.
    """
    found = differences(recorded, wanted)
    if found:
        lines = "\n  ".join(found)
        raise LatentStoreError(
            f"{folder} was made by something else:\n  {lines}\n"
            "Choose another name or out, or discard what is there with overwrite=true."
        )
