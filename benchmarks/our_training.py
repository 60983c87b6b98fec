"""Training as train.py does it, for benchmarks/train.py: a latent set, and Lightning's Trainer with a stopwatch."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import pyarrow as pa
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, IterableDataset

from fusemix.commands.train import quiet_lightning
from fusemix.config import ComputeConfig, OptimConfig, PartConfig, TrainConfig
from fusemix.fusion.module import FusionModule
from fusemix.fusion.runs import RunState
from fusemix.interfaces import Items, LatentBatch, PairSet, TrainBatch
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.loader import LatentData
from fusemix.latents.set_writer import write_set
from fusemix.latents.writer import StoreWriter
from fusemix.wiring.training.data import latent_data
from fusemix.wiring.training.processes import processes_of
from fusemix.wiring.training.train import augmentation_of, fusion_module_of, run_record, trainer_of
from train import WARMUP, Peak, Sizes, Timer, here, product_rate

HELD_OUT = 0.01
SHARD = 65_536


def write_latents(folder: Path, sizes: Sizes) -> None:
    """A latent set of float16 latents, one caption a picture; random ones, again and again, to save time."""
    pairs = int(sizes.pairs / (1 - HELD_OUT)) + 1
    tables = [pa.table({"id": [f"{kind}-{row}" for row in range(pairs)]}) for kind in ("image", "text")]
    left, right = (Items(kind, table, str) for kind, table in zip(("image", "text"), tables, strict=True))
    links = np.column_stack([np.arange(pairs)] * 2)
    pair_set = PairSet("made_up", "1", "train", left, right, links)
    write_set(folder / "set", pair_set, {"name": "made_up", "options": {}})
    generator = np.random.default_rng(0)
    for items, width in zip((left, right), sizes.widths, strict=True):
        writer = StoreWriter(
            folder / "set" / items.modality / "made_up",
            ids=items.table["id"],
            modality=items.modality,
            dim=width,
            dtype="float16",
            shard_size=SHARD,
            fingerprint={"encoder": {}, "items_sha256": items_sha256(items.table)},
        )
        rows = generator.standard_normal((min(pairs, SHARD), width), dtype=np.float32).astype(np.float16)
        for index in writer.missing():
            writer.write(index, rows[: len(writer.spans[index])], [])
        writer.seal()


def config_for(folder: Path, sizes: Sizes, out: str, *, compiled: bool) -> TrainConfig:
    return TrainConfig(
        train=str(folder / "set"),
        holdout=HELD_OUT,
        encoders={"image": ["made_up"], "text": ["made_up"]},
        adapter=PartConfig(name="residual_mlp", options={"num_blocks": sizes.blocks, "dropout": sizes.dropout}),
        optim=OptimConfig(batch_size=sizes.batch, max_epochs=1000, validate_every=1000),
        embedding_dim=sizes.embedding_dim,
        compute=ComputeConfig(devices="1"),
        compile=compiled,
        out=out,
    )


class Stopwatch(Callback):
    """Times steps after the warm-up, and ends the run."""

    def __init__(self, steps: int) -> None:
        self.steps, self.seen = steps, 0
        self.seconds, self.memory, self.loss = 0.0, 0, math.nan

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, *_: Any, **__: Any) -> None:
        self.seen += 1
        device = trainer.strategy.root_device
        if self.seen == WARMUP:
            self.peak, self.timer = Peak(device), Timer(device)
        elif self.seen == WARMUP + self.steps:
            self.seconds = self.timer.seconds() / self.steps
            self.memory, self.loss = self.peak.bytes(), float(outputs["loss"])
            trainer.should_stop = True


class _Same(IterableDataset):
    def __init__(self, batch: TrainBatch, steps: int) -> None:
        self.batch, self.steps = batch, steps

    def __iter__(self) -> Iterator[TrainBatch]:
        return iter([self.batch] * self.steps)


class Same(L.LightningDataModule):
    """One batch, again and again."""

    def __init__(self, batch: TrainBatch, steps: int) -> None:
        super().__init__()
        self.data = _Same(batch, steps)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.data, batch_size=None)


class Built(NamedTuple):
    """A run that is ready to be fitted."""

    data: LatentData
    module: FusionModule
    trainer: L.Trainer


def built(config: TrainConfig) -> Built:
    """Wired as train.py does it, but for what a run leaves on disk."""
    augmentation = augmentation_of(config)
    data, pace = latent_data(config, augmentation.parts, 1)
    record = run_record(config, data)
    trainer = trainer_of(config, pace, Path(config.out), record, RunState(), processes_of(config))
    trainer.callbacks, trainer.loggers = [], []  # pyright: ignore[reportAttributeAccessIssue]: Lightning sets it late
    return Built(data, fusion_module_of(config, data, record, augmentation, range(pace.max_epochs)), trainer)


def timed(config: TrainConfig, sizes: Sizes, batch: TrainBatch | None) -> Stopwatch:
    """Fit on one batch, or on all of them."""
    data, module, trainer = built(config)
    stopwatch = Stopwatch(sizes.steps)
    trainer.callbacks = [stopwatch]  # pyright: ignore[reportAttributeAccessIssue]: Lightning sets it late
    if batch:  # of its own size, whatever the set has to give
        for one in data.training_sets:
            one.pairs_per_step = len(batch.pairs.left)
        data.place(trainer.strategy.root_device, str(trainer.precision), num_processes=1)
    trainer.fit(module, Same(batch, WARMUP + sizes.steps) if batch else data)
    return stopwatch


def data_seconds(data: LatentData, sizes: Sizes, device: torch.device) -> tuple[float, TrainBatch]:
    """A batch's time alone, after the first epoch's order is drawn; and a batch."""
    for one in data.training_sets:
        one.reside("device", device)
    stream = (batch for epoch in range(1000) for batch in data.batches(epoch))
    batch, timer = next(stream), Timer(device)
    for _ in range(10 * sizes.steps):
        batch = next(stream)
    return timer.seconds() / (10 * sizes.steps), batch


def figures(folder: Path) -> dict[str, Any]:
    quiet_lightning()
    device, sizes = here()
    with tempfile.TemporaryDirectory() as out:
        config = config_for(folder, sizes, out, compiled=device.type == "cuda")
        data, _, trainer = built(config)
        seconds, batch = data_seconds(data, sizes, device)
        step, loop = timed(config, sizes, batch), timed(config, sizes, None)
        precision = str(trainer.precision)
    dtype = torch.bfloat16 if precision.startswith("bf16") else torch.float32
    return {
        "data": seconds,
        "step": step.seconds,
        "loop": loop.seconds,
        "memory": step.memory,
        "precision": precision,
        "rate": product_rate(device, dtype),
    }


def largest_batch(folder: Path) -> int:
    """The largest power of two of mixed pairs that a step can take, up to 2^20."""
    quiet_lightning()
    device, sizes = here()
    found = 0
    for exponent in range(14, 21):
        tried = sizes._replace(batch=2**exponent, steps=1)
        rows = 2 * tried.batch
        left, right = (torch.randn(rows, width, device=device, dtype=torch.float16) for width in sizes.widths)
        try:
            with tempfile.TemporaryDirectory() as out:
                timed(
                    config_for(folder, sizes, out, compiled=device.type == "cuda"),
                    tried,
                    TrainBatch(0, LatentBatch(left, right)),
                )
        except torch.cuda.OutOfMemoryError:
            break
        found = tried.batch
    return found
