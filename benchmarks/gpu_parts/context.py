"""What the parts share: sizes, the device, a folder; and how they measure and judge."""

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train import Sizes, Timer


@dataclass(frozen=True)
class Context:
    """Of one run.

    Attributes:
        tiny: everything is to be small enough for a CPU.
        folder: that parts write in; what one leaves there, another may use.
        sizes: of the adapters, the batch and the latent set.
        missing: packages that this machine lacks.
    """

    tiny: bool
    folder: Path
    sizes: Sizes
    missing: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        return torch.device("cuda" if self.on_gpu else "cpu")

    @property
    def on_gpu(self) -> bool:
        return torch.cuda.is_available()

    @property
    def compute(self) -> dict[str, str]:
        """As settings say it."""
        return {"accelerator": "gpu" if self.on_gpu else "cpu", "devices": "1"}


def judged(figures: dict[str, Any], claims: dict[str, bool]) -> dict[str, Any]:
    """Figures, and which of the claims about them do not hold."""
    failed = [claim for claim, holds in claims.items() if not holds]
    return {"ok": not failed, **({"failed": failed} if failed else {}), **figures}


def milliseconds(work: Callable[[], object], device: torch.device, repeat: int = 3, warm: int = 1) -> float:
    """Of a piece of work, the least of some."""
    for _ in range(warm):
        work()
    best = math.inf
    for _ in range(repeat):
        timer = Timer(device)
        work()
        best = min(best, timer.seconds())
    return 1e3 * best


def relative(found: Tensor, wanted: Tensor) -> float:
    """Norm of the difference by that of what is wanted, in float64."""
    found, wanted = found.detach().double().cpu(), wanted.detach().double().cpu()
    return float((found - wanted).norm() / wanted.norm().clamp_min(1e-300))


def gigabytes(number: float) -> float:
    return number / 1e9


def peak(device: torch.device) -> float:
    """GB of the device's memory that were in use at once since `fresh`; zero on a CPU."""
    return gigabytes(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0.0


def fresh(device: torch.device) -> None:
    """Give back what is free, and forget the peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
