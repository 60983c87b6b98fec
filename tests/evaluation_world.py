"""A small world to evaluate in: latent sets that can be learned, a trained run, and what goes wrong with them."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from latent_samples import pair_set, write_store

from fusemix.cli.called import run_command
from fusemix.interfaces import Rejected
from fusemix.latents.set_writer import write_set

MIXING = np.random.default_rng(99).standard_normal((12, 8)).astype(np.float32)
CAPTIONS = 3


class World(NamedTuple):
    """Folders of a trained run and of its sets, `train`, `validation` and `test`."""

    run: Path
    sets: Path


def write_latents(folder: Path, num_left: int, seed: int, *, captions: int = CAPTIONS, lost: int = 0) -> Path:
    """A set with stores `eyes` and `words`, which a linear map joins, and `clip` and `clip_text`, which share a space.

    The first `lost` pictures could not be encoded, so that their captions have no link.
    """
    generator = np.random.default_rng(seed)
    links = np.column_stack([np.repeat(np.arange(num_left), captions), np.arange(num_left * captions)])
    pairs = pair_set(links, folder.name)
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {}})
    latents = generator.standard_normal((num_left, 12)).astype(np.float32)
    noise = generator.standard_normal((len(links), 8)).astype(np.float32)
    shared = generator.standard_normal((num_left, 6)).astype(np.float32)
    rejected = [Rejected(f"picture-{place}", "decode", "it is broken") for place in range(lost)]
    write_store(folder, pairs.left, "eyes", latents.copy(), rejected)  # rows without latent are overwritten
    write_store(folder, pairs.left, "clip", shared.copy(), rejected)
    write_store(folder, pairs.right, "words", latents[links[:, 0]] @ MIXING + 0.3 * noise)
    write_store(folder, pairs.right, "clip_text", 3 * shared[links[:, 0]])
    return folder


def make_world(folder: Path) -> World:
    """Write and train; some seconds."""
    sets = folder / "sets"
    write_latents(sets / "train", 200, 0)
    write_latents(sets / "validation", 40, 1)
    write_latents(sets / "test", 60, 2, lost=2)
    run_command(
        "train",
        [
            f"train={sets / 'train'}",
            f"validation={sets / 'validation'}",
            "encoders={image: [eyes], text: [words]}",
            f"out={folder / 'run'}",
            "embedding_dim=8",
            "adapter={name: linear}",
            "mixup.name=none",
            "optim={batch_size: 64, max_epochs: 8, warmup_steps: 5, lr: 0.01}",
            "compute.accelerator=cpu",
        ],
    )
    return World(folder / "run", sets)


def broken_run(world: World, folder: Path) -> Path:
    """A run whose image adapter gives NaN, as after training that went astray."""
    (folder / "checkpoints").mkdir(parents=True)
    checkpoint = torch.load(world.run / "checkpoints" / "best.ckpt", weights_only=True)
    for name, weights in checkpoint["state_dict"].items():
        if name.startswith("model.adapters.image"):
            weights.fill_(torch.nan)
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    return folder


def settings(world: World, out: Path, *changes: str, test: Path | None = None) -> list[str]:
    """Arguments of an evaluation, of another set than the usual one if need be."""
    common = ["compute.accelerator=cpu", "num_examples=0"]
    return [f"model={world.run}", f"latents={test or world.sets / 'test'}", f"out={out}", *common, *changes]


def evaluated(world: World, out: Path, *changes: str, test: Path | None = None) -> dict:
    """report.json of an evaluation."""
    return json.loads(run_command("eval_retrieval", settings(world, out, *changes, test=test)).read_text())
