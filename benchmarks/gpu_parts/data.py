"""Batches and checkpoints: the right rows wherever latents live, and what a run takes beside its steps."""

import dataclasses
import time
from typing import Any

import numpy as np
import torch
from our_training import timed

from gpu_parts.context import Context, gigabytes, judged
from gpu_parts.material import built, config_of, one_batch, write_pairs
from train import Timer

RESIDENCES = ("device", "pinned", "mapped")
PASSES = 3
CODE = 1024
"""Latents tell their row by two numbers below this, which float16 holds exactly."""


def residence(context: Context) -> dict[str, Any]:
    """The rows of every batch, while the device is busy, as a run gets them: made in a thread, a few ahead."""
    pairs, width, batch = (500, 16, 40) if context.tiny else (120_000, 1024, 8_192)
    where, device = context.folder / "coded", context.device
    write_pairs(where, (coded(pairs, width, 0), coded(pairs, width, 1)), "float16")
    config = dataclasses.replace(
        config_of(context), train=str(where), optim=dataclasses.replace(config_of(context).optim, batch_size=batch // 2)
    )
    busy = torch.randn(2 if context.tiny else 8192, 4096, device=device)
    found: dict[str, Any] = {}
    for residence in RESIDENCES if context.on_gpu else ("device", "mapped"):
        data, _, _ = built(config)
        (training_set,) = data.training_sets
        began = Timer(device)
        training_set.reside(residence, device)
        read = began.seconds()
        wanted = [torch.from_numpy(rows).to(device) for rows in training_set.batches(0)] * PASSES
        wrong, began = torch.zeros((), dtype=torch.int64, device=device), Timer(device)
        drawn = (batch for _ in range(PASSES) for batch in data.train_dataloader())
        for rows, (_, got) in zip(wanted, drawn, strict=True):
            for _ in range(3):
                busy @ busy.T  # pyright: ignore[reportUnusedExpression]: the device is to be behind the host
            wrong += sum(differing(side, rows[:, place], place) for place, side in enumerate(got))
        figures = {"wrong_numbers": int(wrong), "batches": len(wanted), "read_sec": read, "sec": began.seconds()}
        found[residence] = figures
    return judged(found, {f"{name}: every number is its row's": found[name]["wrong_numbers"] == 0 for name in found})


def coded(pairs: int, width: int, side: int) -> np.ndarray:
    """Latents whose every number follows from row and column."""
    rows, columns = np.arange(pairs)[:, None], np.arange(width)[None]
    latents = (rows * 7 + columns * 3 + side) % CODE
    latents[:, 0], latents[:, 1] = rows[:, 0] // CODE, rows[:, 0] % CODE
    return latents.astype(np.float32)


def differing(latents: torch.Tensor, rows: torch.Tensor, side: int) -> torch.Tensor:
    """How many numbers of a batch are not those of its rows."""
    columns = torch.arange(latents.shape[1], device=latents.device)
    wanted = (rows[:, None] * 7 + columns * 3 + side) % CODE
    wanted[:, 0], wanted[:, 1] = rows // CODE, rows % CODE
    return (latents.to(torch.int64) != wanted).sum()


def loop(context: Context) -> dict[str, Any]:
    """A step of a run beside a step on one batch, by where latents live."""
    config, found = config_of(context), {}
    step = 1e3 * timed(config, context.sizes, one_batch(context)).seconds
    for residence in RESIDENCES if context.on_gpu else ("device", "mapped"):
        there = dataclasses.replace(config, latents_on=residence)
        found[residence] = {"ms": 1e3 * timed(there, context.sizes, None).seconds}
        found[residence]["beside_the_step"] = found[residence]["ms"] / step - 1
    return {"step_ms": step, **found}


def epoch(context: Context) -> dict[str, Any]:
    """What drawing costs the host at five million links: the order of an epoch, then each batch of 40,960."""
    from fusemix.latents.batches import Links

    found, count = {}, 5_000 if context.tiny else 5_000_000
    for name, captions in (("one caption", 1), ("five captions", 5)):
        items = count // captions
        links = Links(np.column_stack([np.repeat(np.arange(items), captions), np.arange(items * captions)]))
        began = time.monotonic()
        stream = links.batches(min(40_960, items // 5), np.random.default_rng(0))
        first = next(stream)
        order, began = time.monotonic() - began, time.monotonic()
        batches = [first, *(batch for batch, _ in zip(stream, range(4), strict=False))]
        found[name] = {"order_ms": 1e3 * order, "batch_ms": 1e3 * (time.monotonic() - began) / (len(batches) - 1)}
        repeated = sum(len(np.unique(batch[:, 0])) != len(batch) for batch in batches)
        found[name]["batches_with_an_item_twice"] = repeated
    none = all(figures["batches_with_an_item_twice"] == 0 for figures in found.values())
    return judged(found, {"no batch holds an item twice": none})


def checkpoint(context: Context) -> dict[str, Any]:
    """How long a checkpoint of the paper's adapters and their optimiser takes, and that it is whole."""
    from fusemix.fusion.checkpoints import read_checkpoint
    from fusemix.fusion.saving import WholeCheckpoints

    module = built(config_of(context)).module.to(context.device)
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    file = context.folder / "whole.ckpt"
    content: dict[str, Any] = {"epoch": 0, "global_step": 1, "hyper_parameters": dict(module.hparams)}
    content |= {"state_dict": module.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    timer = Timer(context.device)
    writer = WholeCheckpoints()
    writer.save_checkpoint(content, file)
    writer.finish()
    found = {"gb": gigabytes(file.stat().st_size), "write_sec": timer.seconds()}
    timer = Timer(context.device)
    read = read_checkpoint(file)["state_dict"]
    found["read_sec"] = timer.seconds()
    same = all(torch.equal(read[name], weight.cpu()) for name, weight in module.state_dict().items())
    file.unlink()
    return judged(found, {"what is read is what was written": same})
