"""The manifest: the file that makes a folder of shards a latent store.

Place in the flow: written last by writer.py, read first by store.py.

Files of a store:
    manifest.json        sealed last; without it the folder is no store
    latents-00000.npy …  (rows, dim) in C order; every shard but the last has `shard_size` rows
    content-00000.bin …  what each row was made from, where it was read from a file (content.py)
    quarantine.jsonl     id, stage and reason of each item without latent; its row is NaN
While a store is being written, there are others instead of the manifest (records.py).
"""

import shlex
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.disk.files import differences, differing_fields, read_json, write_json
from fusemix.errors import DamagedFileError, LatentStoreError
from fusemix.parts.kinds import record_of

MANIFEST = "manifest.json"
STARTED = "started.json"
QUARANTINE = "quarantine.jsonl"
DTYPES = ("float16", "float32")
FORMAT = "fusemix.latent_store"
VERSION = 1
ACCEPTABLE = ("encoder", "decoding")
"""Parts of a fingerprint that a user may know to be equal in effect; the others say which row is where."""


class Shard(NamedTuple):
    """One file of latents; `content_sha256` guards what it was made from, where that was noted."""

    file: str
    num_rows: int
    num_bytes: int
    sha256: str
    content_sha256: str | None = None


class Accepted(NamedTuple):
    """A difference that the user has declared to be none."""

    field: str
    on_disk: Any
    now: Any


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
        quarantine_sha256: of the bytes of quarantine.jsonl; None in stores that are older than this.
        accepted: what differed from the fingerprint when the store was gone on with.
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
    quarantine_sha256: str | None = None
    accepted: tuple[Accepted, ...] = ()


def shard_name(index: int) -> str:
    """File name of a shard."""
    return f"latents-{index:05d}.npy"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Seal a store."""
    lists = {name: [row._asdict() for row in getattr(manifest, name)] for name in ("shards", "accepted")}
    write_json(folder / MANIFEST, {"format": FORMAT, "version": VERSION, **asdict(manifest), **lists})


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a sealed store.

    Raises:
        LatentStoreError: there is none, or it is of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise LatentStoreError(_why_missing(folder))
    way_out = f"Delete {folder}, and give the command that wrote it again."
    try:
        data = read_json(path)
    except DamagedFileError as error:
        raise LatentStoreError(f"{error} {way_out}") from error
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT or data.pop("version", None) != VERSION:
        raise LatentStoreError(f"{path} is not of format {FORMAT}, version {VERSION}. Cache the latents again.")
    try:
        return _manifest_of(data)
    except (ValueError, TypeError) as error:
        raise LatentStoreError(f"{path} is damaged: {error}. {way_out}") from error


def _manifest_of(data: dict[str, Any]) -> Manifest:
    shards = tuple(record_of(Shard, shard) for shard in data.get("shards") or ())
    if sum(shard.num_rows for shard in shards) != data.get("num_rows"):
        raise ValueError("its shards do not hold as many rows as it names")
    accepted = tuple(record_of(Accepted, one) for one in data.get("accepted") or ())
    made = record_of(Manifest, {**data, "shards": shards, "accepted": accepted})
    counts = (
        made.num_rows,
        made.num_rejected,
        *(count for shard in shards for count in (shard.num_rows, shard.num_bytes)),
    )
    if made.dtype not in DTYPES or min(made.dim, made.shard_size) < 1 or min(counts) < 0:
        raise ValueError("a size or the dtype is none")
    if [shard.file for shard in shards] != [shard_name(index) for index in range(len(shards))]:
        raise ValueError("it names other files than latents-00000.npy and so on")
    return made


def size_problem(folder: Path, shard: Shard) -> str | None:
    """What is wrong with a shard that a look at the folder shows, or None."""
    try:
        status = (folder / shard.file).stat()
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    if not stat.S_ISREG(status.st_mode):
        return "is missing"
    found = status.st_size
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
    beside = sorted(path.parent.name for path in folder.parent.glob(f"[!.]*/{MANIFEST}"))
    known = f"There are: {', '.join(beside)}." if beside else "Run cache_features.py first."
    return f"there is no latent store {folder}. {known}"


def refuse_difference(folder: Path, recorded: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare fingerprints.

    Raises:
        LatentStoreError: they differ; the message names every field that does.
    """
    if lines := differences(recorded, wanted):
        raise LatentStoreError(_made_by_something_else(folder, lines))


def require_same_origin(
    folder: Path, recorded: dict[str, Any], wanted: dict[str, Any], accept: Sequence[str] | None
) -> list[Accepted]:
    """Compare fingerprints of a store, but for the fields that the user knows to be equal in effect.

    Args:
        folder: for the message.
        recorded: on disk.
        wanted: of what is asked for now.
        accept: dotted names of those fields; None where this cannot be asked for.

    Returns:
        What differs and was accepted.

    Raises:
        LatentStoreError: something else differs; the message names every field that does.
    """
    found = [Accepted(*one) for one in differing_fields(recorded, wanted)]
    left = [one for one in found if one.field not in (accept or ()) or not _is_acceptable(one)]
    if not left:
        return found
    hint = _how_to_keep_the_dtype(left)
    if accept is not None and all(map(_is_acceptable, left)):
        names = ",".join(one.field for one in found)
        hint += (
            "\nIf you know that this changes no number, as with a hub name and a local copy of the same weights, go on "
            f"with {shlex.quote(f'accept=[{names}]')}: it is noted in the {MANIFEST}."
        )
    raise LatentStoreError(_made_by_something_else(folder, differences(recorded, wanted)) + hint)


def _how_to_keep_the_dtype(found: Sequence[Accepted]) -> str:
    """What helps where an encoder computes in another dtype than before, as with `auto` on another device."""
    before = [one.on_disk for one in found if one.field == "encoder.dtype"]
    return f"\nTo go on as before on any device, set dtype={before[0]} among the encoder's options." if before else ""


def _is_acceptable(one: Accepted) -> bool:
    return one.field.split(".")[0] in ACCEPTABLE


def _made_by_something_else(folder: Path, lines: Sequence[str]) -> str:
    listed = "\n  ".join(lines)
    return (
        f"{folder} was made by something else:\n  {listed}\n"
        "Choose another name or out, or discard what is there with overwrite=true."
    )
