"""How training is paced: the batch, the epochs and the validations that `auto` fits to a set.

Place in the flow: OptimConfig, TrainingSet(s) -> Pace -> loader, schedule, Trainer.
A number that was given is never changed; see `config.AutoConfig` for what `auto` goes by.
"""

import math
from collections.abc import Mapping, Sequence
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
        also: name of a further set -> pairs of it in a step.
    """

    batch_size: int
    max_epochs: int
    validate_every: int
    also: dict[str, int]

    @property
    def of_optim(self) -> dict[str, int]:
        """What belongs to `optim`."""
        return {"batch_size": self.batch_size, "max_epochs": self.max_epochs, "validate_every": self.validate_every}


def batches_of(
    config: TrainConfig, training_sets: Sequence[TrainingSet], parts: int, num_processes: int
) -> dict[str, int]:
    """Pairs that the loss sees in a step, by name of the set; the first one has none.

    Args:
        config: settings; `auto` takes its own number, and less where a set has too few items that differ.
        training_sets: sets to train on, each of which is drawn from by itself.
        parts: loaded pairs that become one pair of a step.
        num_processes: that share a batch, and so divide it.
    """
    wanted = {name: about.batch_size for name, about in config.also.items()}
    sizes = {one.name: wanted.get(one.name, config.optim.batch_size) for one in training_sets}
    return {
        one.name: size
        if isinstance(size := sizes[one.name], int)
        else batch_of(config.optim, one, parts, num_processes)
        for one in training_sets
    }


def batch_of(optim: OptimConfig, training_set: TrainingSet, parts: int, num_processes: int) -> int:
    """Pairs of one set in a step, as `batches_of` gives them."""
    if isinstance(optim.batch_size, int):
        return optim.batch_size
    wanted = min(optim.auto.batch_size, training_set.most_pairs() // (STEPS_IN_EPOCH * parts))
    unit = math.lcm(SHARED, num_processes)
    unit = unit if wanted >= unit else num_processes
    return max(wanted - wanted % unit, math.ceil(LEAST_PAIRS / num_processes) * num_processes)


def pace_of(optim: OptimConfig, batches: Mapping[str, int], steps_in_epoch: int) -> Pace:
    """The pace of a run whose batches are known."""
    auto, every = optim.auto, optim.validate_every
    epochs = optim.max_epochs
    if not isinstance(epochs, int):
        epochs = max(auto.epochs, math.ceil(auto.steps / steps_in_epoch), every if isinstance(every, int) else 1)
    first, *others = batches
    validate_every = every if isinstance(every, int) else max(1, epochs // auto.validations)
    return Pace(batches[first], epochs, validate_every, {name: batches[name] for name in others})


def paced(config: TrainConfig, pace: Pace) -> TrainConfig:
    """The settings of a run with numbers in place of `auto`, as the run keeps them.

    A further set whose batch is that of the first one keeps `auto`, which is this number from now on.
    """
    also = {
        name: replace(about, batch_size="auto" if pace.also[name] == pace.batch_size else pace.also[name])
        for name, about in config.also.items()
    }
    return replace(config, optim=replace(config.optim, **pace.of_optim), also=also)


def fitted(config: TrainConfig, pace: Pace) -> list[str]:
    """What `auto` came to, as settings that say the same."""
    found = [f"optim.{name}={value}" for name, value in pace.of_optim.items() if getattr(config.optim, name) == "auto"]
    if config.optim.batch_size == "auto":
        own = (name for name, about in config.also.items() if about.batch_size == "auto")
        found += [f"also.{name}.batch_size={pace.also[name]}" for name in own]
    return found


def require_divisible(name: str, batch_size: int, num_processes: int) -> None:
    """Refuse a batch that processes cannot share evenly.

    Args:
        name: of its set; the first one has none.
        batch_size: pairs in a step.
        num_processes: that share them.

    Raises:
        ConfigError: they cannot.
    """
    if batch_size % num_processes:
        nearest = max(1, round(batch_size / num_processes)) * num_processes
        setting = f"also.{name}.batch_size" if name else "optim.batch_size"
        raise ConfigError(
            f"{setting}={batch_size:,} pairs cannot be shared by {num_processes} devices. "
            f"Set it to a multiple of {num_processes}, such as {nearest:,}."
        )
