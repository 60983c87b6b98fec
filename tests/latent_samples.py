"""Small real pair sets and latent stores, written by the same code that caches."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from fusemix.interfaces import Items, PairSet, Rejected
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.set_writer import write_set
from fusemix.latents.writer import StoreWriter


def pair_set(links: np.ndarray, split: str = "train", left_modality: str = "image") -> PairSet:
    """A pair set of made-up items that `links` joins."""
    num_left, num_right = links.max(axis=0) + 1
    left = pa.table({"id": [f"picture-{i}" for i in range(num_left)]})
    right = pa.table(
        {"id": [f"text-{i}" for i in range(num_right)], "caption": [f"caption {i}" for i in range(num_right)]}
    )
    return PairSet(
        dataset="made_up",
        revision="1",
        split=split,
        left=Items(left_modality, left, lambda row: b""),
        right=Items("text", right, lambda row: f"caption {row}"),
        links=links.astype(np.int64),
    )


def write_store(
    folder: Path, items: Items, slug: str, latents: np.ndarray, rejected: Sequence[Rejected] = (), **options: object
) -> None:
    """Write latents as one sealed store of a set."""
    writer = StoreWriter(
        folder / items.modality / slug,
        ids=items.table["id"],
        modality=items.modality,
        dim=latents.shape[1],
        **{"dtype": "float32", "shard_size": 64, **options},
        fingerprint={"encoder": {"family": slug}, "items_sha256": items_sha256(items.table)},
    )
    for index in writer.missing():
        span = writer.spans[index]
        here = {items.table["id"][row].as_py() for row in span}
        writer.write(index, latents[span.start : span.stop], [r for r in rejected if r.id in here])
    writer.seal()


def learnable_set(
    folder: Path,
    name: str,
    *,
    num_left: int = 128,
    captions: int = 2,
    split: str | None = None,
    seed: int = 0,
    left: str = "image",
) -> Path:
    """Write a latent set whose right latents are a linear image of the left ones; returns its folder."""
    generator = np.random.default_rng(seed)
    links = np.column_stack([np.repeat(np.arange(num_left), captions), np.arange(num_left * captions)])
    pairs = pair_set(links, split or name, left)
    write_set(folder / name, pairs, {"name": "made_up.module:factory", "options": {}})
    latents = generator.standard_normal((num_left, 12)).astype(np.float32)
    mixing = np.random.default_rng(99).standard_normal((12, 8)).astype(np.float32)
    right = latents[links[:, 0]] @ mixing + 0.1 * generator.standard_normal((len(links), 8)).astype(np.float32)
    write_store(folder / name, pairs.left, "eyes", latents)
    write_store(folder / name, pairs.right, "words", right.astype(np.float32))
    return folder / name


def labelled_set(folder: Path, *, num_items: int = 12, seed: int = 0) -> Path:
    """Write a set of pictures in three classes, whose stores `clip`, `other` and `words` share a space."""
    generator = np.random.default_rng(seed)
    links = np.column_stack([np.arange(num_items), np.arange(num_items) % 3])
    pairs = pair_set(links, folder.name)
    classes = pa.array([f"class {number}" for number in range(3)])
    pairs = replace(pairs, right=replace(pairs.right, table=pairs.right.table.append_column("class", classes)))
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {}})
    for slug in ("clip", "other"):
        write_store(folder, pairs.left, slug, generator.standard_normal((num_items, 6)).astype(np.float32))
    write_store(folder, pairs.right, "words", generator.standard_normal((3, 6)).astype(np.float32))
    return folder
