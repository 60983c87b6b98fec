"""What is done once with the best epoch, when a run ends: its best checkpoint is written again, with what was found.

Place in the flow: best checkpoint, LatentData -> steps, each of which looks at the model and may change it -> best
checkpoint. A step never makes the figures on validation worse, and says what it has done.

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
    about,
    as_ended,
    read_checkpoint,
    trained_model,
    write_checkpoint,
)
from fusemix.fusion.model import FusionModel
from fusemix.latents.loader import LatentData
from fusemix.wiring.training.hubs import keep_hubs
from fusemix.wiring.training.moving import move
from fusemix.wiring.training.turning import turn

Step = Callable[[FusionModel, TrainConfig, LatentData], tuple[dict[str, Any], list[str]]]
"""Looks at the model of the best epoch, in evaluation mode on the run's device, and may change it in place.

Returns facts for the checkpoint, as plain data (see `checkpoints.as_ended`), and lines for people.
"""
STEPS: Sequence[Step] = (move, turn)
"""In this order; hubs come last, since their banks are embeddings of the model as it is then."""


def end(place: Path, config: TrainConfig, data: LatentData, device: torch.device) -> list[str]:
    """Do what is left to do with the best epoch of a run that is trained; returns lines for people.

    Args:
        place: run folder.
        config: its settings.
        data: its sets.
        device: to compute on.
    """
    best = place / CHECKPOINTS / BEST
    checkpoint = read_checkpoint(best)
    model = trained_model(checkpoint, trust_code=True).to(device)
    told = _through_steps(best, checkpoint, model, config, data) if _is_due(checkpoint) else []
    return [*told, *keep_hubs(place, model, data, config.seed)]


def _is_due(checkpoint: dict[str, Any]) -> bool:
    record = about(checkpoint)
    return bool(record.get("decided", {}).get("ends")) and ENDED not in record


def _through_steps(
    best: Path, checkpoint: dict[str, Any], model: FusionModel, config: TrainConfig, data: LatentData
) -> list[str]:
    facts: dict[str, Any] = {}
    told: list[str] = []
    for step in STEPS:
        found, lines = step(model, config, data)
        facts |= found
        told += lines
    write_checkpoint(best, as_ended(checkpoint, model, facts))
    return told
