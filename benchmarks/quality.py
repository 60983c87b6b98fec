"""How well recipes retrieve, on anybody's latents: with many pairs and few, hubs corrected, with unpaired items beside.

    python benchmarks/quality.py --train SET --test SET --encoders image=NAME text=NAME [--json FILE]

Few pairs are the first captions of the first pictures. Of all pairs a share is held out to choose on; with fewer, the
last pictures of the training set are that, and those in between stand for data that nobody paired. The test set is
looked at once a run. Latents that share a space: quality_parts/aligned.py.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from quality_parts.aligned import CHOSEN_ON, ENCODERS, KS, Pairs, read

from fusemix.api.stages import eval_retrieval, train

HELD_OUT = 0.05
"""Share of all pairs that is chosen on."""
CORRECTED = "hub constants"
PAPER = {
    "adapter": {"name": "residual_mlp", "options": {"num_blocks": 1, "dropout": 0.6}},
    "optim": {"batch_size": "auto", "max_epochs": "auto", "validate_every": 4},
}
AUTO = {0: {"batch_size": 250, "epochs": 60, "steps": 1}, 5_000: {"batch_size": 500, "epochs": 30, "steps": 1}}
MANY = {"batch_size": 2_048, "epochs": 16, "steps": 1}
UNPAIRED = " and unpaired items"


def recipes_for(num_pairs: int) -> dict[str, list[Any]]:
    """Name -> settings, those of the paper scaled to the number of pairs."""
    pace = MANY if num_pairs > 10_000 else AUTO[5_000 if num_pairs >= 5_000 else 0]
    ours = "recommended" if num_pairs >= 10_000 else "few_pairs"
    return {
        "paper": [PAPER, {"optim": {"auto": pace}}],
        "closed_form": ["closed_form"],
        ours: [ours],
    }


def rows(
    known: Pairs, test: Pairs, sizes: Sequence[int | None], seeds: Sequence[int], only: Sequence[str], place: Path
) -> Iterator[dict[str, Any]]:
    """Figures of each recipe, size and seed, as they are measured.

    Args:
        known: latents to train and to choose on.
        test: latents to measure on.
        sizes: numbers of pairs; None takes all.
        seeds: of the runs.
        only: names of recipes that are run; empty: all.
        place: folder for sets and runs.
    """
    measured = test.write(place / "measured")
    for size in sizes:
        here = place / f"{size}"
        pairs, sets = _sets(known, size, here)
        for name, settings in recipes_for(len(pairs.links)).items():
            if only and name not in only:
                continue
            for seed in seeds if name != "closed_form" else seeds[:1]:
                yield _row(name, settings, sets, pairs, seed, measured, here / f"{name}{seed}")
                if (here / "others").exists() and name != "paper":
                    more = [*settings, {"unpaired": dict.fromkeys(ENCODERS, here / "others")}]
                    yield _row(name + UNPAIRED, more, sets, pairs, seed, measured, here / f"{name}_unpaired{seed}")


def _sets(known: Pairs, size: int | None, place: Path) -> tuple[Pairs, dict[str, Any]]:
    """The pairs that are trained on, and the sets of a run; what lies between them and validation goes to `others`."""
    if size is None:
        return known, {"train": known.write(place / "train"), "holdout": HELD_OUT}
    last = len(known.pictures) - CHOSEN_ON
    pairs = known.some(slice(0, last), most=size)
    used = len(pairs.pictures)
    if used < last:
        known.some(slice(used, last)).write(place / "others")
    held = known.some(slice(last, None)).write(place / "validation")
    return pairs, {"train": pairs.write(place / "train"), "validation": held}


def _row(
    name: str, settings: list[Any], sets: dict[str, Any], pairs: Pairs, seed: int, measured: Path, out: Path
) -> dict[str, Any]:
    run = train(*settings, **sets, encoders=ENCODERS, out=out, seed=seed, logger=[])
    report = eval_retrieval(
        model=run.folder, latents=measured, out=out.with_suffix(".report"), num_examples=0, widths=[], ks=list(KS)
    )
    corrected = next((one["metrics"] for one in report.data["others"] if one["name"] == CORRECTED), report.metrics)
    return {
        "pairs": len(pairs.links),
        "recipe": name,
        "seed": seed,
        "plain": _recalls(report.metrics),
        "corrected": _recalls(corrected),
    }


def _recalls(metrics: dict[str, float]) -> list[float]:
    return [100 * metrics[f"{way}/recall_at_{k}"] for way in ("text_to_image", "image_to_text") for k in KS]


def table(found: Sequence[dict[str, Any]]) -> str:
    """Means over seeds, in Markdown."""
    groups: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in found:
        groups[row["pairs"], row["recipe"]].append(row)
    lines = ["| pairs | recipe | sum | range | hubs corrected | range |", "| -: | -- | -: | -: | -: | -: |"]
    for (pairs, recipe), some in groups.items():
        cells = []
        for kind in ("plain", "corrected"):
            sums = [sum(row[kind]) for row in some]
            cells += [f"{np.mean(sums):.1f}", f"{min(sums):.1f} to {max(sums):.1f}"]
        lines.append(f"| {pairs:,} | {recipe} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write all rows where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--encoders", nargs=2, required=True, metavar="MODALITY=NAME", help="the left side first")
    parser.add_argument("--pairs", nargs="+", default=["1000", "5000", "all"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=[], help="of the table; all by default")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    encoders = {name: [latents] for name, _, latents in (one.partition("=") for one in given.encoders)}
    sizes = [None if size == "all" else int(size) for size in given.pairs]
    found = []
    with tempfile.TemporaryDirectory() as place:
        known, test = (read(folder, encoders) for folder in (given.train, given.test))
        for row in rows(known, test, sizes, range(given.seeds), given.recipes, Path(place)):
            found.append(row)
            print(json.dumps(row), flush=True)
            if given.json:
                given.json.write_text(json.dumps(found, indent=1))
    print(table(found))


if __name__ == "__main__":
    main()
