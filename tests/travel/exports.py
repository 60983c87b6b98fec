"""What the tests of exported models share."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import fusemix
from fusemix.cli.called import run_command

MODALITIES = ("image", "text", "audio")


class Travelled(NamedTuple):
    """An export whose run and encoders are out of its reach, and what the run gave before.

    Attributes:
        folder: of the export, moved after it was written.
        items: modality -> contents.
        wanted: modality -> their embeddings by the run.
    """

    folder: Path
    items: dict[str, list]
    wanted: dict[str, np.ndarray]


def embeddings(model, items, **settings) -> dict[str, np.ndarray]:
    embedder = fusemix.load(model, device="cpu", **settings).embedder
    return {modality: embedder.embed(modality, contents) for modality, contents in items.items()}


def train_on_made_up_latents(make_set, out: Path, *changes: str) -> Path:
    """A run whose encoders nothing knows."""
    encoders = "encoders={image: [eyes], text: [words]}"
    settings = ["embedding_dim=8", "optim={batch_size: 16, max_epochs: 1, warmup_steps: 1}", "holdout=0.2"]
    run_command(
        "train", [f"train={make_set()}", encoders, *settings, "compute.accelerator=cpu", f"out={out}", *changes]
    )
    return out
