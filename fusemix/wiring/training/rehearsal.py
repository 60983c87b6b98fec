"""How long training would take, from a few steps, without writing anything.

Place in the flow: FusionModule, LatentData -> seconds.
"""

import time
import warnings
from statistics import median

import torch

from fusemix.fusion.module import FusionModule
from fusemix.latents.loader import LatentData
from fusemix.progress import duration
from fusemix.wiring.training.step import AUTOCAST

STEPS = 5


def rehearsed(module: FusionModule, data: LatentData, device: torch.device, precision: str, epochs: int) -> list[str]:
    """Where latents would live, and how long some epochs would take, in words for people; see `seconds_of_a_step`."""
    told = data.place(device, precision, num_processes=1).told  # it takes the whole batch, as one would alone
    seconds, steps = seconds_of_a_step(module, data, device, AUTOCAST.get(precision)), data.num_batches
    return [
        *told,
        f"{epochs:,} epochs of {steps:,} steps, {1000 * seconds:,.1f} ms each on {device}: about "
        f"{duration(epochs * steps * seconds)}, and validation besides",
    ]


def seconds_of_a_step(module: FusionModule, data: LatentData, device: torch.device, dtype: torch.dtype | None) -> float:
    """Median time of a step: a batch, forward, backward, and the optimiser's own.

    Args:
        module: whose weights change with it.
        data: its sets; latents are read from where they lie.
        device: that trains.
        dtype: of autocast; None computes in float32.
    """
    for training_set in data.training_sets:
        training_set.reside("mapped", device)
    module.to(device).train()
    module.on_train_epoch_start()
    optimizer, found = module.new_optimizer(), []
    batches = (batch for epoch in range(STEPS + 1) for batch in data.batches(epoch))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*self.trainer. reference is not registered.*")
        for number in range(STEPS + 1):
            started = time.perf_counter()
            batch = next(batches)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                loss = module.training_step(batch, number)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.detach().item()  # waits for the device
            found.append(time.perf_counter() - started)
    return median(found[1:])  # the first one sets things up
