"""What the parts train on: latent sets, settings, and one batch."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from our_training import built as built
from our_training import config_for, write_latents

from fusemix.config import TrainConfig
from fusemix.interfaces import Items, LatentBatch, PairSet, TrainBatch
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.set_writer import write_set
from fusemix.latents.writer import StoreWriter
from gpu_parts.context import Context

SMALL_PAIRS, SMALL_WIDTHS = 600, (48, 32)


def config_of(context: Context) -> TrainConfig:
    """The paper's run, uncompiled, on the large latent set, which is written where it is not there."""
    done = context.folder / "large" / "done"
    if not done.exists():
        write_latents(done.parent, context.sizes)
        done.touch()
    return config_for(done.parent, context.sizes, str(context.folder / "run"), compiled=False)


def one_batch(context: Context, batch: int | None = None) -> TrainBatch:
    """Loaded pairs of one step, on the device."""
    rows = 2 * (batch or context.sizes.batch)
    return TrainBatch(
        0, LatentBatch(*(torch.randn(rows, w, device=context.device).half() for w in context.sizes.widths))
    )


class Small(NamedTuple):
    """A small set whose right latents are a linear image of the left ones, and some noise."""

    folder: Path
    encoders: dict[str, list[str]]


def small_set(context: Context) -> Small:
    where, encoders = context.folder / "small", {"image": ["made_up"], "text": ["made_up"]}
    if not (where / "done").exists():
        generator = np.random.default_rng(0)
        left = generator.standard_normal((SMALL_PAIRS, SMALL_WIDTHS[0])).astype(np.float32)
        right = left @ generator.standard_normal(SMALL_WIDTHS) + generator.standard_normal(
            (SMALL_PAIRS, SMALL_WIDTHS[1])
        )
        write_pairs(where, (left, right), "float16")
        (where / "done").touch()
    return Small(where, encoders)


def write_pairs(where: Path, latents: tuple[np.ndarray, np.ndarray], dtype: str) -> None:
    """A latent set in which row i of the left belongs to row i of the right."""
    kinds, count = ("image", "text"), len(latents[0])
    left, right = (Items(kind, pa.table({"id": [f"{kind}-{row}" for row in range(count)]}), str) for kind in kinds)
    links = np.column_stack([np.arange(count)] * 2)
    write_set(where, PairSet("made_up", "1", "train", left, right, links), {"name": "made_up", "options": {}})
    for items, rows in zip((left, right), latents, strict=True):
        writer = StoreWriter(
            where / items.modality / "made_up",
            ids=items.table["id"],
            modality=items.modality,
            dim=rows.shape[1],
            dtype=dtype,
            shard_size=256,
            fingerprint={"encoder": {}, "items_sha256": items_sha256(items.table)},
        )
        for index in writer.missing():
            span = writer.spans[index]
            writer.write(index, rows[span.start : span.stop].astype(dtype), [])
        writer.seal()


def settings(context: Context, out: str, **changes: Any) -> dict[str, Any]:
    """Of a run on the small set, as they are given to fusemix.train."""
    small = small_set(context)
    return {
        "train": small.folder,
        "holdout": 0.2,
        "encoders": small.encoders,
        "embedding_dim": 16,
        "compute": context.compute,
        "out": context.folder / "runs" / out,
        "optim": {"batch_size": 64, "max_epochs": 2, "warmup_steps": 2, "lr": 3e-3},
        **changes,
    }
