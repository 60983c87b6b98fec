"""What is done once, when a run ends: its best checkpoint is written again, with what was found.

Place in the flow: best and last checkpoint, LatentData -> which of them is kept -> steps, each of which looks at the
model and may change it -> best checkpoint. A step never makes the figures on validation worse, and says what it has
done.

Killed before it is written, the same command does it again; a run that an earlier fusemix has trained stays as it is,
since vectors that were made with it would not fit any more.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from fusemix.config import TrainConfig
from fusemix.fusion.checkpoints import (
    BEST,
    CHECKPOINTS,
    ENDED,
    LAST,
    about,
    as_ended,
    read_checkpoint,
    trained_model,
    write_checkpoint,
)
from fusemix.fusion.model import FusionModel
from fusemix.latents.loader import LatentData
from fusemix.wiring.training.hubs import keep_hubs
from fusemix.wiring.training.last_epoch import kept
from fusemix.wiring.training.lengths import note_lengths
from fusemix.wiring.training.moving import move
from fusemix.wiring.training.turning import turn

EPOCHS = "epochs"
"""Fact of a checkpoint: how many epochs of the run it was compared with."""
Step = Callable[[FusionModel, TrainConfig, LatentData], tuple[dict[str, Any], list[str]]]
"""Looks at the model of the best epoch, in evaluation mode on the run's device, and may change it in place.

Returns facts for the checkpoint, as plain data (see `checkpoints.as_ended`), and lines for people.
"""
STEPS: Sequence[Step] = (move, turn, note_lengths)
"""In this order; hubs come last, since their banks are embeddings of the model as it is then."""


def end(place: Path, config: TrainConfig, data: LatentData, device: torch.device) -> list[str]:
    """Do what is left to do with the best epoch of a run that is trained; returns lines for people.

    Args:
        place: run folder.
        config: its settings.
        data: its sets.
        device: to compute on.
    """
    best, last = (place / CHECKPOINTS / name for name in (BEST, LAST))
    checkpoint = read_checkpoint(best)
    newest = read_checkpoint(last) if last.is_file() else checkpoint
    if not _is_due(checkpoint, newest):
        return keep_hubs(place, trained_model(checkpoint, trust_code=True).to(device), data, config.seed)
    checkpoint, facts, told = kept(checkpoint, newest, data, device)
    model = trained_model(checkpoint, trust_code=True).to(device)
    facts |= {**about(checkpoint).get(ENDED, {}), EPOCHS: newest["epoch"] + 1}
    for step in () if ENDED in about(checkpoint) else STEPS:
        found, lines = step(model, config, data)
        facts |= found
        told += lines
    write_checkpoint(best, as_ended(checkpoint, model, facts))
    return [*told, *keep_hubs(place, model, data, config.seed)]


def _is_due(checkpoint: dict[str, Any], newest: dict[str, Any]) -> bool:
    """Whether a run was begun by a fusemix that ends runs, and its best epoch was not compared with its newest."""
    record = about(checkpoint)
    if ENDED not in record:
        return bool(record.get("decided", {}).get("ends"))
    return record[ENDED].get(EPOCHS, newest["epoch"] + 1) <= newest["epoch"]
