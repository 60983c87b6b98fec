"""How training is paced: the batch, the epochs and the validations that `auto` fits to a set.

Place in the flow: OptimConfig, TrainingSet(s) -> Pace -> loader, schedule, Trainer.
A number that was given is never changed; see `config.AutoConfig` for what `auto` goes by.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fusemix.config import OptimConfig, TrainConfig
from fusemix.errors import ConfigError
from fusemix.latents.training_sets import TrainingSet

STEPS_IN_EPOCH = 2
"""With a batch of `auto`, at least: of one batch that holds all items, each step would be the same."""
LEAST_PAIRS = 2
"""A batch of one has no negatives."""
SHARED = 8
"""What divides a batch of `auto` that is large enough, so that a run may go on with 2, 4 or 8 processes."""


class Pace(NamedTuple):
    """How fast a run goes over its set.

    Attributes:
        batch_size: pairs that the loss sees in a step, over all devices.
        max_epochs: passes over the first set.
        validate_every: epochs from one validation to the next.
    """

    batch_size: int
    max_epochs: int
    validate_every: int


def batch_of(optim: OptimConfig, training_sets: Sequence[TrainingSet], parts: int, num_processes: int) -> int:
    """Pairs that the loss sees in a step.

    Args:
        optim: settings; `auto` takes its own number, and less where a set has too few items that differ.
        training_sets: sets to train on.
        parts: loaded pairs that become one pair of a step.
        num_processes: that share a batch, and so divide it.
    """
    if isinstance(optim.batch_size, int):
        return optim.batch_size
    room = min(one.most_pairs() for one in training_sets) // (STEPS_IN_EPOCH * parts)
    wanted = min(optim.auto.batch_size, room)
    unit = math.lcm(SHARED, num_processes)
    unit = unit if wanted >= unit else num_processes
    return max(wanted - wanted % unit, math.ceil(LEAST_PAIRS / num_processes) * num_processes)


def pace_of(optim: OptimConfig, batch_size: int, steps_in_epoch: int) -> Pace:
    """The pace of a run whose batch is known."""
    auto, every = optim.auto, optim.validate_every
    epochs = optim.max_epochs
    if not isinstance(epochs, int):
        epochs = max(auto.epochs, math.ceil(auto.steps / steps_in_epoch), every if isinstance(every, int) else 1)
    return Pace(batch_size, epochs, every if isinstance(every, int) else max(1, epochs // auto.validations))


def paced(config: TrainConfig, pace: Pace) -> TrainConfig:
    """The settings of a run with numbers in place of `auto`, as the run keeps them."""
    return replace(config, optim=replace(config.optim, **pace._asdict()))


def fitted(optim: OptimConfig, pace: Pace) -> list[str]:
    """What `auto` came to, as settings that say the same."""
    return [f"optim.{name}={value}" for name, value in pace._asdict().items() if getattr(optim, name) == "auto"]


def require_divisible(batch_size: int, num_processes: int) -> None:
    """Refuse a batch that processes cannot share evenly.

    Raises:
        ConfigError: they cannot.
    """
    if batch_size % num_processes:
        nearest = max(1, round(batch_size / num_processes)) * num_processes
        raise ConfigError(
            f"optim.batch_size={batch_size:,} pairs cannot be shared by {num_processes} devices. "
            f"Set it to a multiple of {num_processes}, such as {nearest:,}."
        )
