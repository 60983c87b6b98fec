"""Whole runs of train.py: the same on the device as on a CPU, and the same after an interruption."""

import contextlib
from typing import Any

import torch

from gpu_parts.context import Context, judged, relative
from gpu_parts.material import settings

SAME = 1e-2
"""Largest difference of a weight tensor, by its norm, between devices after a few steps in float32."""
AT_STEP = 9


def weights_of(context: Context, out: str, **changes: Any) -> dict[str, torch.Tensor]:
    """Of a run, trained as train.py does."""
    from fusemix.api import train
    from fusemix.fusion.checkpoints import read_checkpoint

    best = train(**settings(context, out, **changes))
    return read_checkpoint(best.with_name("last.ckpt"))["state_dict"]


def parity(context: Context) -> dict[str, Any]:
    """One small run without dropout on a CPU in float32, and on the device in float32 and in bf16-mixed."""
    adapter = {"name": "residual_mlp", "options": {"num_blocks": 1, "dropout": 0.0}}
    same: dict[str, Any] = {"adapter": adapter, "mixup": "per_pair", "preprocess": ["standardise"]}
    wanted = weights_of(context, "cpu", compute="cpu", precision="32-true", **same)
    found = {}
    for name in ("32-true", "bf16-mixed"):
        weights = weights_of(context, name, precision=name, **same)
        tensors = [key for key, value in wanted.items() if value.is_floating_point() and value.norm() > 0]
        found[name] = max(relative(weights[key], wanted[key]) for key in tensors)
    return judged({"largest_difference": found}, {"float32 trains as on a CPU": found["32-true"] < SAME})


class BreaksOffError(Exception):
    """The run ends here, as if it had been killed."""


def resume(context: Context) -> dict[str, Any]:
    """A run with dropout and noise that breaks off and goes on, beside one that did not: the same bits."""
    from fusemix.fusion.module import FusionModule

    adapter = {"name": "residual_mlp", "options": {"num_blocks": 1, "dropout": 0.5}}
    optim = {"batch_size": 64, "max_epochs": 4, "warmup_steps": 2}
    same: dict[str, Any] = {"adapter": adapter, "mixup": "noise", "optim": optim}
    whole, again = (weights_of(context, name, **same) for name in ("whole", "again"))
    original = FusionModule.training_step

    def breaks_off(self: FusionModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == AT_STEP:
            raise BreaksOffError
        return original(self, batch, batch_idx)

    FusionModule.training_step = breaks_off
    try:
        with contextlib.suppress(BreaksOffError):
            weights_of(context, "broken", **same)
            raise AssertionError("the run was to break off")
    finally:
        FusionModule.training_step = original
    resumed = weights_of(context, "broken", **same)
    claims = {
        "twice gives the same bits": all(torch.equal(whole[key], again[key]) for key in whole),
        "an interrupted run ends as one that was not": all(torch.equal(whole[key], resumed[key]) for key in whole),
    }
    return judged({"broken_off_at_step": AT_STEP}, claims)
