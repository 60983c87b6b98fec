"""What is done once with the best epoch, when a run ends: its best checkpoint is written again, with what was found.

Place in the flow: best checkpoint, LatentData -> steps, each of which looks at the model and may change it -> best
checkpoint. A step never makes the figures on validation worse, and says what it has done.

Killed before it is written, the same command does it again; a run that an earlier fusemix has trained stays as it is,
since vectors that were made with it would not fit any more.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fusemix.config import TrainConfig
from fusemix.fusion.checkpoints import ENDED, about, as_ended, read_checkpoint, trained_model, write_checkpoint
from fusemix.fusion.model import FusionModel
from fusemix.latents.loader import LatentData
from fusemix.wiring.training.turning import turn


class Done(NamedTuple):
    """What a step has done.

    Attributes:
        facts: plain data for the checkpoint; see `checkpoints.as_ended`.
        told: lines for people.
    """

    facts: dict[str, Any]
    told: list[str]


Step = Callable[[FusionModel, TrainConfig, LatentData], tuple[dict[str, Any], list[str]]]
"""Looks at the model of the best epoch, in evaluation mode on the run's device, may change it in place, and says what
is `Done`."""
STEPS: Sequence[Step] = (turn,)
"""In this order."""


def end(best: Path, config: TrainConfig, data: LatentData, device: torch.device) -> list[str]:
    """Do what is left to do with the best epoch of a run that is trained; returns lines for people.

    Args:
        best: its best checkpoint.
        data: its sets.
        device: to compute on.
    """
    checkpoint = read_checkpoint(best)
    if not _is_due(checkpoint):
        return []
    model, facts, told = trained_model(checkpoint, trust_code=True).to(device), {}, []
    for step in STEPS:
        done = Done(*step(model, config, data))
        facts |= done.facts
        told += done.told
    write_checkpoint(best, as_ended(checkpoint, model, facts))
    return told


def _is_due(checkpoint: dict[str, Any]) -> bool:
    record = about(checkpoint)
    return bool(record.get("decided", {}).get("ends")) and ENDED not in record
