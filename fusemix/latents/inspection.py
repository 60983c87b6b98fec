"""What latent sets and stores say about themselves, as plain facts.

Place in the flow: a folder -> StoreFacts, SetFacts -> tables.py shows them.
Not here: hashing every shard (that is `fusemix verify`).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from fusemix.disk.system_names import is_system_name
from fusemix.errors import FusemixError, LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.description import ITEMS_OF, SET, items_folder, read_description
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.item_tables import read_sealed_table, read_table
from fusemix.latents.links import LINKS, read_sealed_links
from fusemix.latents.manifest import MANIFEST, STARTED, Manifest, shard_name
from fusemix.latents.parts import PARTS, shard_of_part
from fusemix.latents.records import read_quarantine, read_started
from fusemix.latents.store import LatentStore

SAMPLE_ROWS = 4096
"""Latents that figures are computed on: enough for two digits, little to read even from a store of millions."""


class Norms(NamedTuple):
    """L2 norms of some latents.

    Attributes:
        num_rows: latents looked at.
        mean, std, smallest, largest: of their norms.
        num_constant: dimensions with one value in all of them; they tell nothing.
        shared: norm of the mean latent over the mean norm, in [0, 1]. 0: directions cancel out;
            1: all point one way, so that cosines between any two are near 1.
    """

    num_rows: int
    mean: float
    std: float
    smallest: float
    largest: float
    num_constant: int
    shared: float


def norms_of(latents: Float[np.ndarray, "rows dim"]) -> Norms | None:
    """Figures of latents, in float64; rows that are not finite do not count. None where no row is left."""
    rows = latents[np.isfinite(latents).all(axis=1)].astype(np.float64)
    if len(rows) == 0:
        return None
    norms = np.linalg.norm(rows, axis=1)
    mean = float(norms.mean())
    return Norms(
        num_rows=len(rows),
        mean=mean,
        std=float(norms.std()),
        smallest=float(norms.min()),
        largest=float(norms.max()),
        num_constant=int((rows.max(axis=0) == rows.min(axis=0)).sum()),
        shared=float(np.linalg.norm(rows.mean(axis=0))) / mean if mean else 0.0,
    )


def reasons(rejected: Sequence[Rejected]) -> list[tuple[str, str, int]]:
    """(stage, reason, count), most frequent first; reasons that differ in numbers alone are one."""
    counts = Counter((r.stage, re.sub(r"\d[\d.,e+]*", "N", r.reason)) for r in rejected)
    return [(stage, reason, count) for (stage, reason), count in counts.most_common()]


def flattened(data: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Nested plain data as (dotted name, value); None is passed over."""
    lines = []
    for key, value in data.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            lines += flattened(value, name)
        elif value is not None:
            lines.append((name, str(value)))
    return lines


@dataclass(frozen=True)
class StoreFacts:
    """One latent store.

    Attributes:
        folder: of the store.
        manifest: None where it was not finished.
        fingerprint: what makes, or was to make, the latents.
        num_shards: files of latents that are there.
        num_shards_wanted: that there will be; None where it cannot be told.
        rejected: items without latent.
        norms: of a sample; None where there is no latent.
        items: item table of its side; None where it stands in no latent set.
        problem: why it cannot be read; empty where it can.
    """

    folder: Path
    manifest: Manifest | None
    fingerprint: Mapping[str, Any]
    num_shards: int
    num_shards_wanted: int | None
    rejected: Sequence[Rejected]
    norms: Norms | None
    items: pa.Table | None
    problem: str = ""


def store_facts(folder: Path) -> StoreFacts:
    """Look at a latent store, finished or not: its manifest, item table and a sample of its latents."""
    items = _items_of_store(folder)
    files = len(list(folder.glob("latents-*.npy")))
    if not (folder / MANIFEST).is_file():
        return _unfinished(folder, items, files)
    try:
        store = LatentStore(folder)
        rows = np.linspace(0, len(store) - 1, min(len(store), SAMPLE_ROWS)).round().astype(np.int64)
        rejected = read_quarantine(folder)
        norms = norms_of(store.take(rows))
    except FusemixError as error:
        return StoreFacts(folder, None, {}, files, None, (), None, items, problem=str(error))
    manifest = store.manifest
    wanted = len(manifest.shards)
    return StoreFacts(folder, manifest, manifest.fingerprint, files, wanted, rejected, norms, items)


def _unfinished(folder: Path, items: pa.Table | None, files: int) -> StoreFacts:
    started = read_started(folder)
    fingerprint = started.fingerprint if started else {}
    size = fingerprint.get("shard_size")
    wanted = -(-items.num_rows // size) if items is not None and size else None
    of = f" of {wanted:,}" if wanted is not None else ""
    begun = {shard_of_part(path) for path in folder.glob(PARTS)}
    begun = sum(not (folder / shard_name(index)).is_file() for index in begun)
    parts = f" and parts of {begun:,} more" if begun else ""
    problem = (
        f"It is unfinished: {files:,}{of} shards{parts} are there, and no {MANIFEST}, so nothing reads it. "
        "Give the command that began it again: it goes on where it stopped."
    )
    return StoreFacts(folder, None, fingerprint, files, wanted, (), None, items, problem=problem)


def _items_of_store(folder: Path) -> pa.Table | None:
    path = folder.parent.parent / f"items-{folder.parent.name}.parquet"
    try:
        return read_table(path) if path.is_file() else None
    except (OSError, ValueError):  # of the set, which says so itself
        return None


@dataclass(frozen=True)
class SetFacts:
    """One latent set.

    Attributes:
        folder: of the set.
        description: content of `set.json`.
        items: modality -> item table, left first; of a subset, only the items that its links name.
        excluded: what the data set named and could not give.
        stores: folders of latent stores, finished or not.
    """

    folder: Path
    description: Mapping[str, Any]
    items: Mapping[str, pa.Table]
    excluded: Sequence[Rejected]
    stores: Sequence[Path]


def set_facts(folder: Path) -> SetFacts:
    """Look at a latent set, without opening its stores."""
    description = read_description(folder / SET)
    modalities = [description[which]["modality"] for which in ("left", "right")]
    place = items_folder(folder, description)
    stores = [path for m in modalities for path in sorted((place / m).glob("[!.]*")) if is_store(path)]
    counts = [description[which]["num_items"] for which in ("left", "right")]
    named = zip(modalities, counts, strict=True)
    items = {m: read_sealed_table(place / f"items-{m}.parquet", count) for m, count in named}
    if ITEMS_OF in description:
        links = read_sealed_links(folder / LINKS, description).links
        items = {m: table.take(distinct_rows(links[:, at])) for at, (m, table) in enumerate(items.items())}
        return SetFacts(folder, description, items, (), stores)
    return SetFacts(folder, description, items, read_quarantine(place), stores)


def is_store(folder: Path) -> bool:
    """Whether a folder is a latent store, or is becoming one."""
    return (folder / MANIFEST).is_file() or (folder / STARTED).is_file()


def require_folder(folder: Path) -> None:
    """Refuse what is no folder.

    Raises:
        LatentStoreError: it is none.
    """
    if not folder.is_dir():
        raise LatentStoreError(f"there is no folder {folder}.")


def sets_below(folder: Path) -> list[Path]:
    """The latent sets that lie right below a folder, as caching writes one a split."""
    return sorted(path.parent for path in folder.glob(f"[!.]*/{SET}"))


def others_below(folder: Path, sets: Sequence[Path]) -> list[str]:
    """Names of what else lies there, but for hidden files and those of the system."""
    known = {path.name for path in sets}
    return sorted(path.name for path in folder.iterdir() if path.name not in known and not is_system_name(path.name))
