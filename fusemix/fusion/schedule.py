"""Learning rate and weight decay.

Place in the flow: step -> factor on the learning rate; model -> parameter groups of the optimiser.
"""

import math
from typing import Any, NamedTuple

from torch import nn


class Schedule(NamedTuple):
    """Linear warm-up and cosine; see `config.OptimConfig`.

    Attributes:
        total_steps: from its first one to its last.
        first_step: of the run, where this schedule begins: one that is given more epochs gets a new one.
    """

    lr: float
    min_lr: float
    weight_decay: float
    warmup_steps: int
    total_steps: int
    first_step: int = 0


class LearningRate:
    """Step -> factor on the peak rate: linear from `min_lr` to the peak, then half a cosine down to `min_lr`.

    Args:
        schedule: rates and lengths; the warm-up takes at most half of the steps.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.floor = schedule.min_lr / schedule.lr
        self.first, self.total = schedule.first_step, schedule.total_steps
        self.warmup = min(schedule.warmup_steps, schedule.total_steps // 2)

    def __call__(self, step: int) -> float:
        """Factor at a step of the run, from 0."""
        step = max(0, step - self.first)  # a scheduler asks once before it knows where it is
        if step < self.warmup:
            return self.floor + (1 - self.floor) * step / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms, gates and the temperature do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2]
    others = [p for p in trained if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
