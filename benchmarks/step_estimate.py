"""How long a training step would take on a GPU that is not here: counted bytes and FLOP over assumed rates.

    python benchmarks/step_estimate.py [--batch 20480] [--widths 1536 1024] [--blocks 4] [--json FILE]

The real model, mixup, loss and optimiser are called on fake tensors, which have shapes and dtypes and no numbers, and
each kernel is noted with the bytes that it reads and writes and the FLOP of its matrix products. Nothing is timed. A
kernel takes the longest of its bytes over the bandwidth, its FLOP over the rate of its dtype, and one launch.

    eager       each kernel by itself, as PyTorch runs them
    compiled    what fusion can save at the most: of all that lies between two matrix products, what comes from before
                is read once and what is needed later is written once. torch.compile comes near it: it reads again for
                sums down a column, and computes cheap things again in place of keeping them

On a GPU, adapters drop by PyTorch's own kernel and not by their own for CPUs, and tiles are a GPU's: so they are here.
The assumed rates are printed, and can be given.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from kernels import Kernel, Kernels, Rates, alone, fused, together
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from train import Sizes, flops_of_a_step

SIDES = "image", "text"
PHASES = ("prepare, mix", "adapters forward", "loss forward", "loss backward", "adapters backward", "optimiser")


class _GpuDropout(nn.Module):
    """What `F.dropout` calls on a GPU."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        return torch.native_dropout(values, self.rate, True)[0]


@contextmanager
def as_on_a_gpu(model: nn.Module) -> Iterator[None]:
    from fusemix.fusion.adapters.dropout import Dropout
    from fusemix.fusion.losses import tiles

    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, name, _GpuDropout(child.rate))
    before, tiles.TILE["cpu"] = tiles.TILE["cpu"], tiles.TILE["cuda"]
    try:
        yield
    finally:
        tiles.TILE["cpu"] = before


def kernels_of_a_step(sizes: Sizes, loss: str) -> list[Kernel]:
    """The kernels of one training step with mixup in bf16-mixed: the second, when the optimiser has its state."""
    from fusemix.fusion.losses import LOSSES
    from fusemix.fusion.model import FusionModel
    from fusemix.fusion.schedule import parameter_groups

    adapters: dict[str, Any] = {side: ("residual_mlp", {"num_blocks": sizes.blocks}) for side in SIDES}
    with FakeTensorMode():
        dims = {side: [width] for side, width in zip(SIDES, sizes.widths, strict=True)}
        model = FusionModel(dims=dims, embedding_dim=sizes.embedding_dim, adapters=adapters).train()
        compare: Any = LOSSES.build(loss, {})
        optimizer = torch.optim.AdamW(parameter_groups(nn.ModuleList([model, compare]), 0.1), lr=1e-3, fused=True)
        loaded = [torch.empty(2 * sizes.batch, width, dtype=torch.float16) for width in sizes.widths]
        with as_on_a_gpu(model):
            step(Kernels(), model, compare, optimizer, loaded)
            optimizer.zero_grad()
            return step(Kernels(), model, compare, optimizer, loaded)


def step(
    kernels: Kernels, model: Any, compare: Any, optimizer: torch.optim.Optimizer, loaded: Sequence[Tensor]
) -> list[Kernel]:
    """What FusionModule.training_step and Lightning do in a step, phase by phase."""
    import numpy as np

    from fusemix.fusion.mixup.variants import per_batch
    from fusemix.interfaces import LatentBatch

    with kernels, torch.autocast("cpu", dtype=torch.bfloat16):
        kernels.phase = "prepare, mix"
        prepared = LatentBatch(*(model.prepare(side, rows) for side, rows in zip(SIDES, loaded, strict=True)))
        mixed = per_batch().apply(prepared, np.random.default_rng(0))
        kernels.phase = "adapters forward"
        embedded = [model.adapt(side, rows) for side, rows in zip(SIDES, mixed, strict=True)]
        kernels.phase = "loss forward"
        apart = [side.detach().requires_grad_() for side in embedded]
        value = compare(*apart, model.logit_scale)
    with kernels:
        kernels.phase = "loss backward"
        value.backward()
        kernels.phase = "adapters backward"
        torch.autograd.backward(embedded, [side.grad for side in apart])
        kernels.phase = "optimiser"
        optimizer.step()
    return kernels.seen


def estimate(kernels: Sequence[Kernel], rates: Rates, useful: float) -> dict[str, Any]:
    """Phases, ways to run them with the share of the bfloat16 rate that each reaches, and the slowest kernels.

    Args:
        kernels: of a step.
        rates: assumed.
        useful: FLOP of the model, without what is computed twice.
    """
    eager = {phase: alone([k for k in kernels if k.phase == phase], rates) for phase in PHASES}
    compiled = {phase: fused(kernels, phase, rates) for phase in PHASES}
    mixed = {phase: (compiled if phase.startswith("adapters") else eager)[phase] for phase in PHASES}
    beside = sum(part.seconds for phase, part in mixed.items() if not phase.startswith("loss"))
    products = sum(part.flop for phase, part in mixed.items() if phase.startswith("loss"))
    seconds = {
        "eager": together(eager.values()).seconds,
        "adapters compiled, as compile=true does": together(mixed.values()).seconds,
        "everything compiled": together(compiled.values()).seconds,
        "adapters compiled, loss in one kernel, TF32": beside + products / rates.tf32,
        "adapters compiled, loss in one kernel, bfloat16": beside + products / rates.bfloat16,
        "matrix products alone": alone([k for k in kernels if k.flop], rates).seconds,
    }
    slowest: Counter[tuple[str, str]] = Counter()
    for kernel in kernels:
        slowest[kernel.phase, kernel.name] += alone([kernel], rates).seconds  # pyright: ignore[reportArgumentType]
    return {
        "phases": {phase: {"eager": eager[phase]._asdict(), "compiled": compiled[phase]._asdict()} for phase in PHASES},
        "ways": {way: {"ms": 1e3 * taken, "share": useful / taken / rates.bfloat16} for way, taken in seconds.items()},
        "slowest": [[*names, 1e3 * taken] for names, taken in slowest.most_common(12)],
    }


def print_tables(found: dict[str, Any], rates: Rates) -> None:
    print(f"\nassumed: {rates.bfloat16 / 1e12:,.0f} TFLOP/s in bfloat16, {rates.tf32 / 1e12:,.0f} in TF32,")
    print(f"{rates.bandwidth / 1e12:.2f} TB/s, {rates.launch * 1e6:.0f} µs a kernel at least\n")
    print("| phase | TFLOP | kernels | GB | ms | compiled: kernels | GB | ms |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for phase, ways in found["phases"].items():
        cells = [f"{w['kernels']:,} | {w['num_bytes'] / 1e9:.2f} | {1e3 * w['seconds']:.2f}" for w in ways.values()]
        print(f"| {phase} | {ways['eager']['flop'] / 1e12:.2f} | {' | '.join(cells)} |")
    print("\n| a step | ms | share of the bfloat16 rate |")
    print("|---|--:|--:|")
    for way, figures in found["ways"].items():
        print(f"| {way} | {figures['ms']:.1f} | {figures['share']:.0%} |")
    print("\nslowest kernels, eager: " + ", ".join(f"{p}: {n} {ms:.1f} ms" for p, n, ms in found["slowest"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=20_480, help="mixed pairs; twice as many are loaded")
    parser.add_argument("--widths", type=int, nargs=2, default=(1536, 1024), help="of latents")
    parser.add_argument("--blocks", type=int, default=4, help="a side")
    parser.add_argument("--embedding-dim", type=int, default=512)
    parser.add_argument("--loss", default="info_nce")
    for name, value in Rates()._asdict().items():
        parser.add_argument(f"--{name}", type=float, default=value, help="see Rates")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    rates = Rates(*(getattr(given, name) for name in Rates._fields))
    sizes = Sizes(tuple(given.widths), given.blocks, given.batch, 0, 0, given.embedding_dim)
    found = estimate(kernels_of_a_step(sizes, given.loss), rates, flops_of_a_step(sizes))
    print_tables(found, rates)
    if given.json:
        from fusemix.disk.files import write_json

        write_json(given.json, {"sizes": sizes._asdict(), "rates": rates._asdict(), **found})


if __name__ == "__main__":
    main()
