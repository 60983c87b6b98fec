"""Latents in memory, written as a latent set: the road of `import`, without files of somebody's.

Place in the flow: GivenLatents of two modalities and their links -> a sealed latent set -> training and evaluation, as
of any other set.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from fusemix.errors import DatasetError
from fusemix.interfaces import Items, PairSet
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.set_writer import write_set
from fusemix.latents.writer import StoreWriter
from fusemix.models.given_latents import ROWS_AT_ONCE, GivenLatents

STORE = "given"
"""Name of the latents of either side."""
MADE_BY = {"family": "imported", "made_by": None}
"""As of imported latents: nothing says what made them but their width."""
DTYPE = "float32"
"""Whatever type they were given in, so that a set in another one fits the model, too."""


def write_arrays(
    folder: Path, sides: Mapping[str, GivenLatents], links: Int64[np.ndarray, "links 2"], dataset: str = "arrays"
) -> Path:
    """Write two arrays and their links as a latent set.

    Args:
        folder: of the set; its name becomes that of the split.
        sides: modality -> latents, the left side first.
        links: (row of the left, row of the right), none twice.
        dataset: name of the set, for people.

    Returns:
        `folder`.
    """
    hashes = {modality: _sha256(latents) for modality, latents in sides.items()}
    left, right = (_items(modality, len(latents), hashes[modality]) for modality, latents in sides.items())
    revision = hashlib.sha256("".join(hashes.values()).encode()).hexdigest()[:12]
    write_set(folder, PairSet(dataset, revision, folder.name, left, right, links), {})
    for items in (left, right):
        _write_store(folder, items, sides[items.modality], hashes[items.modality])
    return folder


def _items(modality: str, count: int, sha256: str) -> Items:
    """Items that are called by their rows; the hash of all tells two arrays of one size apart."""
    table = pa.table({"id": [str(row) for row in range(count)], "array_sha256": [sha256] * count})
    return Items(modality, table, _unreadable)


def _unreadable(row: int) -> NoReturn:
    raise DatasetError("these latents came as an array: there is no item to read.")


def _sha256(latents: GivenLatents) -> str:
    digest = hashlib.sha256(f"{len(latents)} {latents.dim} ".encode())
    for at in range(0, len(latents), ROWS_AT_ONCE):
        digest.update(latents.part(at, at + ROWS_AT_ONCE).data)
    return digest.hexdigest()


def _write_store(folder: Path, items: Items, latents: GivenLatents, sha256: str) -> None:
    writer = StoreWriter(
        folder / items.modality / STORE,
        ids=items.table["id"],
        modality=items.modality,
        dim=latents.dim,
        dtype=DTYPE,
        shard_size=ROWS_AT_ONCE,
        fingerprint={
            "encoder": MADE_BY,
            "items_sha256": items_sha256(items.table),
            "source_sha256": {"latents": sha256},
        },
    )
    for index in writer.missing():
        rows = writer.spans[index]
        writer.write(index, latents.part(rows.start, rows.stop), [])
    writer.seal()
