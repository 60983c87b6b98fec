"""How fast and in how much memory retrieval is measured, beside the plain way and beside the bare matrix product.

    python benchmarks/evaluate.py [--rounds N] [--json FILE] [--only CASE …]

Both sides get the same made-up unit vectors and links and give recall at 1, 5 and 10, MRR, mAP@10, nDCG@10, median and
mean rank of both directions. The reference (reference_evaluation.py) holds the whole matrix of scores and sorts every
query's row in a loop, as the paper's code does; ours is `fusemix.retrieval.metrics.measure`. Where the matrix would not
fit into memory the reference is left out. Their figures must be equal, or the benchmark fails.

`product_ratio` is our time over that of one bare product of the two matrices in float32, which is the least that exact
ranks can take; product, ours and `whole` take turns in one process, and the fastest of the rounds counts. `whole` is
what eval_retrieval does between the embeddings and the report, bootstrap aside: figures, the first 10 of each query of
both directions, figures of hubs, and the inverted softmax; `whole_ratio` is its time over that of the product. `peak`
is the largest resident size of the process, all imports included; `above` what the measuring added to it.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

DIM = 512
KS = [1, 5, 10]


class Case(NamedTuple):
    """Numbers of left and right items; whether the reference runs; whether the bare product fits into memory."""

    left: int
    right: int
    has_reference: bool
    has_product: bool = True


CASES = {
    "1k_5k": Case(1_000, 5_000, has_reference=True),
    "5k_25k": Case(5_000, 25_000, has_reference=True),
    "100k_100k": Case(100_000, 100_000, has_reference=False, has_product=False),
    "1k_1m": Case(1_000, 1_000_000, has_reference=False, has_product=False),
}


def problem(case: Case) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Vectors whose linked ones are alike, about as much as after training; each right item has one link.

    They are of unit length but for a rounding: entries are multiples of 2^-9, so that sums of their products are exact
    in float32 in any order, ties included, and two ways to measure must agree to the last query.
    """
    generator = torch.Generator().manual_seed(0)
    left = rounded(torch.nn.functional.normalize(torch.randn(case.left, DIM, generator=generator), dim=1))
    owners = np.arange(case.right) * case.left // case.right
    right = torch.empty(case.right, DIM)
    for at in range(0, case.right, 8192):  # piece by piece: a million vectors are 2 GB
        part = right[at : at + 8192]
        part.normal_(generator=generator).div_(DIM**0.5).add_(left[owners[at : at + 8192]], alpha=0.15)
        rounded(part.div_(part.norm(dim=1, keepdim=True)))
    return left, right, np.column_stack([owners, np.arange(case.right)])


def rounded(vectors: torch.Tensor) -> torch.Tensor:
    """To multiples of 2^-9 below 1/4, in place: 512 products of two such sum up within float32's 24 bits."""
    return vectors.mul_(512).round_().clamp_(-127, 127).div_(512)


def memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def whole(left: torch.Tensor, right: torch.Tensor, links: np.ndarray) -> None:
    from fusemix.retrieval.evaluation import corrected_figures, folds_of, listed, survey_folds
    from fusemix.retrieval.hubness import hubness
    from fusemix.retrieval.results import results_of

    names, sizes = ("left", "right"), (len(left), len(right))
    survey = survey_folds((left, right), folds_of(sizes, links, 1), names, KS, depth=10, with_masses=True)
    found = results_of(survey.directions, listed(survey, (left, right), 10, use_gpu=False), links)
    for each, size in zip(found, sizes[::-1], strict=True):
        hubness(each.top.positions, size)
    corrected_figures((left, right), survey, names, KS)


def ours(case: Case, rounds: int) -> dict[str, Any]:
    from fusemix.retrieval.metrics import flat, measure

    left, right, links = problem(case)
    before, peak = memory("VmRSS:"), 0
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    found: dict[str, float] = {}
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        took = seconds(lambda: found.update(flat(measure(left, right, links, ("left", "right"), KS))))
        times.setdefault("ours", []).append(took)
        times.setdefault("whole", []).append(seconds(lambda: whole(left, right, links)))
        peak = memory("VmHWM:")
        if case.has_product:
            times.setdefault("product", []).append(seconds(lambda: left @ right.T))
            Path("/proc/self/clear_refs").write_text("5")
    return {
        **{name: min(took) for name, took in times.items()},
        "peak": max(peak, memory("VmHWM:")),
        "above": peak - before,
        "figures": found,
    }


def reference(case: Case, rounds: int) -> dict[str, Any]:
    from reference_evaluation import figures

    left, right, links = problem(case)
    before = memory("VmRSS:")
    started = time.perf_counter()
    found = figures(left, right, links)
    took = time.perf_counter() - started
    return {"reference": took, "peak": memory("VmHWM:"), "above": memory("VmHWM:") - before, "figures": found}


def run_child(which: str, name: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", which, "--only", name, "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str, rounds: int) -> dict[str, Any]:
    case = CASES[name]
    rounds = rounds if case.has_product else 1
    found = {"ours": run_child("ours", name, rounds)}
    if case.has_reference:
        found["reference"] = run_child("reference", name, 1)
        require_equal(name, found["ours"]["figures"], found["reference"]["figures"])
    return found


def require_equal(name: str, one: dict[str, float], other: dict[str, float]) -> None:
    differing = [key for key in other if not math.isclose(one[key], other[key], rel_tol=1e-9)]
    if differing:
        lines = "\n".join(f"  {key}: ours {one[key]}, reference {other[key]}" for key in differing)
        raise SystemExit(f"{name}: figures differ\n{lines}")


def summary(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    from fusemix.machine.environment import device_name

    figures: dict[str, Any] = {"device": device_name("cpu"), "threads": torch.get_num_threads(), "cases": found}
    for name, sides in found.items():
        mine = sides["ours"]
        if "product" in mine:
            figures[f"product_ratio_{name}"] = mine["ours"] / mine["product"]
            figures[f"whole_ratio_{name}"] = mine["whole"] / mine["product"]
        if "reference" in sides:
            figures[f"speed_ratio_{name}"] = sides["reference"]["reference"] / mine["ours"]
            figures[f"memory_ratio_{name}"] = sides["reference"]["above"] / max(1, mine["above"])
    return figures


def show(figures: dict[str, Any]) -> None:
    print(f"{figures['device']}, {figures['threads']} threads, width {DIM}, float32")
    head = ("case", "product", "ours", "whole", "reference", "peak MB", "above", "reference above")
    print("".join(f"{name:>16}" for name in head))
    for name, sides in figures["cases"].items():
        mine, other = sides["ours"], sides.get("reference", {})
        times = (mine.get("product"), mine["ours"], mine["whole"], other.get("reference"))
        sizes = (mine["peak"], mine["above"], other.get("above"))
        cells = ["-" if took is None else f"{took:.2f} s" for took in times]
        cells += ["-" if size is None else f"{size / 1e6:,.0f}" for size in sizes]
        print(f"{name:>16}" + "".join(f"{cell:>16}" for cell in cells))
    for key, value in figures.items():
        if "_ratio_" in key:
            print(f"{key} {value:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="turns of product, ours and whole")
    parser.add_argument("--json", type=Path, help="file that receives the figures")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), help="cases to run")
    parser.add_argument("--child", choices=("ours", "reference"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        side = ours if arguments.child == "ours" else reference
        print(json.dumps(side(CASES[arguments.only[0]], arguments.rounds)))
        return
    figures = summary({name: measured(name, arguments.rounds) for name in arguments.only})
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
