"""A step: how long, of what, in how much memory; eager and compiled, large, and where the host waits."""

import dataclasses
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from our_training import Same, Stopwatch, timed
from torch.nn import functional as F

from gpu_parts.context import Context, fresh, judged, milliseconds, peak, relative
from gpu_parts.machine import rate
from gpu_parts.material import built, config_of, one_batch
from train import WARMUP, flops_of_a_step

GOAL = 0.5
"""Share of the rate of one large bfloat16 product that a step is to reach, on a GPU."""
IN_BFLOAT16 = 0.03
"""Difference of embeddings, by the norm, that rounding to bfloat16 in another order may make."""
LARGE = (65_536, 131_072, 262_144)


def eager(context: Context) -> dict[str, Any]:
    """One batch again and again, uncompiled."""
    return step(context, compiled=False)


def compiled(context: Context) -> dict[str, Any]:
    """The same with compile=true: how long it takes to compile, breaks of the graph, and whether it embeds the same."""
    from torch._dynamo.utils import counters

    began = time.monotonic()
    found = step(context, compiled=True)
    found["whole_sec"] = time.monotonic() - began
    found["graph_breaks"] = {str(why)[:100]: count for why, count in counters["graph_break"].items()}
    found["recompilations"] = sum(counters["recompiles"].values())
    found["difference_from_eager"] = from_eager(context)
    return judged(
        found,
        dict.fromkeys(found.get("failed", []), False)
        | {"it embeds as an eager model does": found["difference_from_eager"] < IN_BFLOAT16},
    )


def from_eager(context: Context) -> float:
    """The largest difference of embeddings that a compiled model gives, in two numbers of rows, in bf16-mixed."""
    plain, other = (
        built(dataclasses.replace(config_of(context), compile=way)).module.model.to(context.device).eval()
        for way in (False, True)
    )
    other.load_state_dict(plain.state_dict())
    apart = []
    for rows in (64, 10) if context.tiny else (8_192, 1_000):
        latents = torch.randn(rows, context.sizes.widths[0], device=context.device).half()
        with torch.inference_mode(), torch.autocast(context.device.type, dtype=torch.bfloat16):
            apart.append(relative(other.embed("image", latents), plain.embed("image", latents)))
    return max(apart)


def step(context: Context, *, compiled: bool) -> dict[str, Any]:
    config = dataclasses.replace(config_of(context), compile=compiled)
    product = rate(context.device, torch.bfloat16, 256 if context.tiny else 8192)
    fresh(context.device)
    watch = timed(config, context.sizes, one_batch(context))
    share = flops_of_a_step(context.sizes) / watch.seconds / product
    found = {
        "pairs": context.sizes.batch,
        "step_ms": 1e3 * watch.seconds,
        "share_of_bf16_product": share,
        "peak_gb": peak(context.device),
    }
    goal = share >= GOAL or not (compiled and context.on_gpu)
    return judged(found, {"the loss is finite": math.isfinite(watch.loss), f"a compiled step reaches {GOAL:.0%}": goal})


def largest(context: Context) -> dict[str, Any]:
    """Steps of doubling size, until memory does not suffice."""
    found: dict[str, Any] = {}
    for batch in (128,) if context.tiny else LARGE:
        fresh(context.device)
        try:
            found[f"{batch:,} pairs"] = large_step(context, batch)
        except torch.OutOfMemoryError as error:
            found[f"{batch:,} pairs"] = f"out of memory: {str(error)[:120]}"
            break
    return found


def large_step(context: Context, batch: int, *, recompute: bool = False) -> dict[str, float]:
    """One step of a given size, after warm ones."""
    sizes = context.sizes._replace(batch=batch, steps=1)
    torch.manual_seed(0)
    _, module, trainer = built(config_of(context))
    if recompute:
        module.model.recompute = True  # pyright: ignore[reportArgumentType]: where the model has it
    watch = Stopwatch(1)
    trainer.callbacks = [watch]  # pyright: ignore[reportAttributeAccessIssue]: Lightning sets it late
    trainer.fit(module, Same(one_batch(context, batch), WARMUP + 1))
    tflops = flops_of_a_step(sizes) / watch.seconds / 1e12
    return {"step_ms": 1e3 * watch.seconds, "peak_gb": peak(context.device), "tflops": tflops, "loss": watch.loss}


def activations(context: Context) -> dict[str, Any]:
    """What a large batch takes where adapters keep what their gradient needs, and where they compute it again."""
    from fusemix.fusion.model import FusionModel

    if "recompute" not in (FusionModel.__doc__ or ""):
        return {"skipped": "adapters cannot compute again here"}
    batch = 128 if context.tiny else LARGE[0]
    kept = large_step(context, batch)
    fresh(context.device)
    again = large_step(context, batch, recompute=True)
    claims = {
        "computed again, they take less memory": again["peak_gb"] < kept["peak_gb"] or not context.on_gpu,
        "the loss after some steps is the same": again["loss"] == kept["loss"],
    }
    return judged({"kept": kept, "again": again}, claims)


def breakdown(context: Context) -> dict[str, Any]:
    """Where a step goes: mixing, adapters, loss and optimiser by themselves, and losses of other sizes."""
    from fusemix.interfaces import LatentBatch

    device, module = context.device, built(config_of(context)).module
    model, batch = module.model.to(device).train(), one_batch(context).pairs
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def mix() -> LatentBatch:
        prepared = LatentBatch(model.prepare("image", batch.left), model.prepare("text", batch.right))
        return module._augmentation.apply(prepared, np.random.default_rng(0))

    mixed = mix()

    def both_ways() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            one, other = model.adapt("image", mixed.left), model.adapt("text", mixed.right)
        (one.square().sum() + other.square().sum()).backward()

    found: dict[str, Any] = {
        "prepare_and_mix_ms": milliseconds(mix, device),
        "adapters_ms": milliseconds(both_ways, device),
        "optimiser_ms": milliseconds(optimizer.step, device),
    }
    model.zero_grad()
    for size in (64,) if context.tiny else (1_024, 20_480, 65_536):
        found |= {f"{name}, {size:,} pairs": loss_of(context, name, size) for name in ("info_nce", "sigmoid")}
    return found


def loss_of(context: Context, name: str, size: int) -> dict[str, float]:
    """Both ways of one loss, by itself."""
    from fusemix.fusion.losses import LOSSES

    device = context.device
    left, right = (F.normalize(torch.randn(size, context.sizes.embedding_dim, device=device), dim=1) for _ in range(2))
    inputs = [left.requires_grad_(), right.requires_grad_(), torch.tensor(14.3, device=device, requires_grad=True)]
    loss: Any = LOSSES.build(name, {})
    loss = loss.to(device)
    fresh(device)
    before = peak(device)
    took = milliseconds(lambda: loss(*inputs).backward(), device, 2)
    tflops = 8e-9 * size**2 * context.sizes.embedding_dim / took
    return {"ms": took, "tflops_with_recomputing": tflops, "extra_gb": peak(device) - before}


def syncs(context: Context) -> dict[str, Any]:
    """Where the host waits for the device within a few steps; none is wanted."""
    if not context.on_gpu:
        return {"skipped": "needs a GPU"}
    data, module, trainer = built(config_of(context))
    watch = Between(4, lambda on: torch.cuda.set_sync_debug_mode("warn" if on else "default"))
    trainer.callbacks = [watch]  # pyright: ignore[reportAttributeAccessIssue]: Lightning sets it late
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(module, data)
    places = [f"{'/'.join(Path(w.filename).parts[-3:])}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]
    return {"in_4_steps": len(places), "where": sorted(set(places))[:10]}


class Between(Stopwatch):
    """Tells when the timed steps begin and end."""

    def __init__(self, steps: int, tell: Callable[[bool], None]) -> None:
        super().__init__(steps)
        self.tell = tell

    def on_train_batch_end(self, *given: Any, **named: Any) -> None:
        if self.seen + 1 == WARMUP + self.steps:
            self.tell(False)
        super().on_train_batch_end(*given, **named)
        if self.seen == WARMUP:
            self.tell(True)
