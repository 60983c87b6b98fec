"""How fast stage two trains, and in how much memory, beside a plain loop written from the paper's description.

    python benchmarks/train.py [--rounds N] [--json FILE]

Both train the paper's adapters with FuseMix and symmetric InfoNCE on the same made-up latents. The reference
(reference_training.py) keeps latents in a dict, collates pair after pair, computes in float32 and holds all logits;
ours is what train.py runs: LatentData, FusionModule and Lightning's Trainer, from a latent set on disk. Timed are:

    data   the batches of some steps, mixed or not yet, ready on the device, and nothing else
    step   one batch again and again: mix, embed, compare, backward, optimiser
    loop   both together, as a run does them

Each side runs in a process of its own, in turns; the fastest of the rounds counts. Memory is the largest that a step
took above what the process held before it: of the device on a GPU, else of the process. `data_path_ratio`, `loop_ratio`
and `memory_ratio` say how many times as much the reference takes. `mfu` is the share of the rate of one large matrix
product, in the same precision on the same device, that our step reaches. On a GPU the largest batch that a step of ours
can take is looked for, too; on a CPU that is a matter of patience, not of memory.

Beside the steps (beside_steps.py), at the paper's size, is set against a step of that size: the one measured on a GPU,
and elsewhere one of 100 ms, which is assumed.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch


class Sizes(NamedTuple):
    """Of the run that is timed; a step sees `batch` mixed pairs."""

    widths: tuple[int, int]
    blocks: int
    batch: int
    pairs: int
    steps: int
    embedding_dim: int = 512
    dropout: float = 0.6


ON_GPU = Sizes(widths=(1536, 1024), blocks=4, batch=20_480, pairs=204_800, steps=20)
"""The paper's, with fewer pairs."""
ON_CPU = Sizes(widths=(1280, 384), blocks=1, batch=2048, pairs=20_480, steps=8)
"""MobileNetV2 and MiniLM."""
WARMUP = 2
ASSUMED_STEP = 0.1
"""Seconds of a step of the paper's size, where none can be measured."""


class Timer:
    """Seconds between two moments at which the device has nothing left to do."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start = self.now()

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def seconds(self) -> float:
        return self.now() - self.start


class Peak:
    """The largest memory in use since it was made, in bytes, above what was in use then."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)
        else:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
            self.before = self._status("VmRSS:")

    def bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.before
        return self._status("VmHWM:") - self.before

    @staticmethod
    def _status(key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def here() -> tuple[torch.device, Sizes]:
    on_gpu = torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu"), ON_GPU if on_gpu else ON_CPU


def flops_of_a_step(sizes: Sizes) -> float:
    """Multiplications and additions of the model: adapters' matrices and logits, forwards and twice backwards."""
    matrices = sum(sizes.blocks * 8 * width**2 + width * sizes.embedding_dim for width in sizes.widths)
    return 6.0 * sizes.batch * matrices + 6.0 * sizes.batch**2 * sizes.embedding_dim


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of one large matrix product, the best of some."""
    size = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = math.inf
    for _ in range(10):
        timer = Timer(device)
        for _ in range(4):
            torch.mm(one, other)
        best = min(best, timer.seconds() / 4)
    return 2 * size**3 / best


def child(which: str, folder: Path) -> dict[str, Any]:
    if which == "largest":
        import our_training

        return {"batch": our_training.largest_batch(folder)}
    if which == "ours":
        import our_training as side
    elif which == "beside":
        import beside_steps as side
    else:
        import reference_training as side
    return side.figures(folder)


def run_child(which: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", which, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def fastest(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    found = dict(rounds[0])
    for key in ("data", "step", "loop"):
        found[key] = min(one[key] for one in rounds)
    found["memory"] = max(one["memory"] for one in rounds)
    found["rate"] = max(one["rate"] for one in rounds)
    return found


def summary(device: torch.device, sizes: Sizes, ours: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    from fusemix.machine.environment import device_name

    return {
        "device": device_name(str(device)),
        "sizes": sizes._asdict(),
        "ours": ours,
        "reference": reference,
        "data_path_ratio": reference["data"] / ours["data"],
        "step_ratio": reference["step"] / ours["step"],
        "loop_ratio": reference["loop"] / ours["loop"],
        "memory_ratio": reference["memory"] / ours["memory"],
        "mfu": flops_of_a_step(sizes) / ours["step"] / ours["rate"],
        "mfu_of_reference": flops_of_a_step(sizes) / reference["step"] / reference["rate"],
    }


def print_table(found: dict[str, Any]) -> None:
    sizes, ours, reference = Sizes(**found["sizes"]), found["ours"], found["reference"]
    blocks = f"{sizes.blocks} + {sizes.blocks} blocks"
    print(f"\n{found['device']}; latents of {sizes.widths[0]} + {sizes.widths[1]}, {blocks},")
    print(
        f"{sizes.batch:,} mixed pairs a step; ours in {ours['precision']}, the reference in {reference['precision']}\n"
    )
    print("| a step, in ms | reference | ours | ratio |")
    print("|---|--:|--:|--:|")
    for key, ratio in (("data", "data_path_ratio"), ("step", "step_ratio"), ("loop", "loop_ratio")):
        print(f"| {key} | {reference[key] * 1e3:,.1f} | {ours[key] * 1e3:,.1f} | {found[ratio]:.1f} |")
    memory = (reference["memory"] / 1e6, ours["memory"] / 1e6)
    print(f"| peak memory, MB | {memory[0]:,.0f} | {memory[1]:,.0f} | {found['memory_ratio']:.1f} |")
    print(f"| share of a matrix product's rate | {found['mfu_of_reference']:.0%} | {found['mfu']:.0%} | |")
    if found["largest_batch"]:
        print(f"| largest batch, pairs | | {found['largest_batch']:,} | |")


def print_beside(found: dict[str, Any], step: float, how: str) -> None:
    from beside_steps import LOADED, PAIRS, rows_of

    print(f"\nBeside steps of {step * 1e3:,.0f} ms ({how}), {LOADED:,} of {PAIRS:,} pairs each\n")
    print("| beside a step | ms | of a step | |")
    print("|---|--:|--:|---|")
    for name, seconds, share, note in rows_of(found, step):
        print(f"| {name} | {seconds * 1e3:,.1f} | {share:.1%} | {note} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is timed")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--child", choices=["ours", "reference", "largest", "beside"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child, arguments.folder)))
        return
    device, sizes = here()
    from our_training import write_latents

    rounds: dict[str, list[dict[str, Any]]] = {"ours": [], "reference": []}
    with tempfile.TemporaryDirectory(prefix="fusemix-train-") as name:
        write_latents(Path(name), sizes)
        for number in range(arguments.rounds):
            for which, results in rounds.items():
                print(f"round {number + 1}/{arguments.rounds}: {which} …", file=sys.stderr)
                results.append(run_child(which, Path(name)))
        largest = run_child("largest", Path(name))["batch"] if device.type == "cuda" else None
        print("beside the steps …", file=sys.stderr)
        beside = run_child("beside", Path(name))
    found = summary(device, sizes, fastest(rounds["ours"]), fastest(rounds["reference"]))
    found |= {"largest_batch": largest, "beside": beside}
    print_table(found)
    on_gpu = device.type == "cuda"
    print_beside(beside, found["ours"]["step"] if on_gpu else ASSUMED_STEP, "measured" if on_gpu else "assumed")
    if arguments.json:
        from fusemix.disk.files import write_json

        write_json(arguments.json, found)


if __name__ == "__main__":
    main()
