"""What choosing the most diverse items costs beside the dense algorithm, and alone with very many.

    python benchmarks/kdpp.py --json kdpp.json
    python benchmarks/kdpp.py --items 1000000 --picks 5000 --json kdpp.json

Each part is a process of its own, whose peak of memory counts: lazy and dense greedy choice over the same 20,000
items, which must agree one by one; choice by parts over these, with its loss against the exact one and what chance
gives; and lazy choice alone over `--items`. Dense is what the paper's own code does: the whole kernel in memory, in
float64, and one row of it a pick. Items are made up.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusemix.disk.files import write_json
from fusemix.machine.environment import peak_memory
from fusemix.progress import console, counting
from fusemix.selection.clusters import clustered
from fusemix.selection.kdpp import most_diverse
from fusemix.selection.kernel import DIAGONAL, kernel
from fusemix.selection.parts import most_diverse_by_parts

CENTRES = 2000
PARTS = (4, 16, 64)
AT_ONCE = 100_000


def made_up(num: int, dim: int) -> torch.Tensor:
    """Unit vectors round centres, some of them crowded."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(CENTRES, dim, generator=generator)
    rows = torch.empty(num, dim)
    for at in range(0, num, AT_ONCE):
        some = rows[at : at + AT_ONCE]
        which = (torch.rand(len(some), generator=generator) ** 2 * CENTRES).long()
        some.copy_(centres[which] + 0.7 * torch.randn(len(some), dim, generator=generator) + 0.3)
        some /= some.norm(dim=1, keepdim=True)
    return rows


def dense(unit: torch.Tensor, size: int) -> list[int]:
    """Greedy choice over the whole kernel (Chen, Zhang, Zhou 2018, Algorithm 1)."""
    rows = unit.double()
    similar = (rows @ rows.T).add_(1).square_()
    gains = torch.full((len(rows),), 4.0, dtype=torch.float64)
    coordinates = torch.zeros(size, len(rows), dtype=torch.float64)
    chosen: list[int] = []
    for step in range(size):
        best = int(gains.argmax())
        chosen.append(best)
        made = (similar[best] - coordinates[:step, best] @ coordinates[:step]) / gains[best] ** 0.5
        coordinates[step] = made
        gains -= made.square()
        gains[best] = -torch.inf
    return chosen


def run(what: str, num: int, dim: int, size: int) -> dict[str, Any]:
    """One part, in this process."""
    unit = made_up(num, dim)
    before, started = peak_memory(), time.monotonic()
    found: dict[str, Any] = {"what": what, "items": num, "dim": dim, "picks": size}
    if what == "dense":
        rows = dense(unit, size)
    elif what == "lazy":
        with counting("items chosen", size) as advance:
            picked = most_diverse(unit, size, advance)
        rows = picked.rows.tolist()
        found["log_determinant"] = picked.log_determinant
    else:
        return found | _by_parts(unit, size)
    return found | {
        "seconds": time.monotonic() - started,
        "peak_bytes": peak_memory(),
        "bytes_before": before,
        "rows": rows if len(rows) <= 20_000 else [],
    }


def _by_parts(unit: torch.Tensor, size: int) -> dict[str, Any]:
    vectors = unit.numpy()
    exact = most_diverse(unit, size).log_determinant
    drawn = np.random.default_rng(0).choice(len(unit), size, replace=False)
    some = unit[drawn].double()
    chance = float(torch.logdet(kernel(some, some).fill_diagonal_(DIAGONAL)))
    losses = {}
    for parts in PARTS:
        started = time.monotonic()
        of_row = clustered(lambda rows: vectors[rows], len(unit), parts, seed=0).of_row
        found = most_diverse_by_parts(lambda rows: vectors[rows], of_row, size)
        losses[parts] = {
            "seconds": time.monotonic() - started,
            "log_determinant": found.log_determinant,
            "share_lost": (exact - found.log_determinant) / (exact - chance),
        }
    return {"exact": exact, "chance": chance, "parts": losses}


def apart(what: str, num: int, dim: int, size: int) -> dict[str, Any]:
    """One part in a process of its own."""
    words = [sys.executable, __file__, "--part", what, *map(str, (num, dim, size))]
    ended = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> None:
    """Run all parts, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--both", type=int, default=20_000, help="items that both algorithms choose from")
    parser.add_argument("--items", type=int, default=1_000_000, help="items that lazy choice alone chooses from")
    parser.add_argument("--picks", type=int, default=5000, help="of these")
    parser.add_argument("--picks-of-both", type=int, default=2000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--json", help="file that receives all figures")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        sys.stdout.write(json.dumps(run(asked.part[0], *map(int, asked.part[1:]))) + "\n")
        return
    both = (asked.both, asked.dim, asked.picks_of_both)
    found = [apart("lazy", *both), apart("dense", *both)]
    if found[0].pop("rows") != found[1].pop("rows"):
        raise SystemExit("lazy and dense choice differ")
    console.print(
        f"{asked.both:,} items, {asked.picks_of_both:,} picks, the same ones: lazy {_cost(found[0])}, dense "
        f"{_cost(found[1])}: {found[1]['seconds'] / found[0]['seconds']:.1f} times faster"
    )
    found.append(apart("parts", *both))
    for parts, one in found[-1]["parts"].items():
        console.print(
            f"by {parts} parts: {one['share_lost']:.1%} of what exact choice is above chance in log det, "
            f"{one['seconds']:.1f} s"
        )
    found.append(apart("lazy", asked.items, asked.dim, asked.picks))
    found[-1].pop("rows")
    console.print(f"{asked.items:,} items, {asked.picks:,} picks: {_cost(found[-1])}")
    if asked.json:
        write_json(Path(asked.json), found)


def _cost(one: dict[str, Any]) -> str:
    return f"{one['seconds']:.1f} s and {one['peak_bytes'] / 1e9:.1f} GB at most"


if __name__ == "__main__":
    main()
