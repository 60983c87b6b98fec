"""Whether what `fusemix rank-encoders` says of pairs of encoders predicts which of them trains best.

    python benchmarks/ranked_and_trained.py ranking/ranking.json studies/encoders/results.json

Takes a ranking, and the results of a study with an axis for the encoder of each modality, called as the modalities
are. Prints Spearman's rank correlation of every score with the sum of recalls after training, over all pairs and over
those that train to at least half of the best, with 95 % intervals: bootstrap over the encoders of both sides, since
pairs that share an encoder are not independent.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Column
from scipy.stats import rankdata

from fusemix.disk.files import read_json
from fusemix.progress import console
from fusemix.tables import BARE, terminal_table

DRAWS = 2000
LEAST = 3
"""Encoders of a side that a draw must hold, for ranks to mean something."""
Pair = tuple[str, str]


def scores() -> dict[str, Callable[[Mapping[str, Any]], float]]:
    """Name of a score -> what reads it of one entry of a ranking."""
    found: dict[str, Callable[[Mapping[str, Any]], float]] = {
        "held-out recall": lambda entry: entry["figures"]["mean_recall"],
        "CKA": lambda entry: entry["figures"]["cka"],
        "mutual neighbours": lambda entry: entry["figures"]["mutual_neighbours"],
    }
    for way, name in (("align", "alignment"), ("predict_right", "prediction of the right"),
                      ("predict_left", "prediction of the left")):  # fmt: skip
        found[f"separation by {name}"] = lambda entry, way=way: _way(entry, way)["separation"]["median"]
        found[f"recovered by {name}"] = lambda entry, way=way: _way(entry, way)["recovered"]["median"]
    return found


def _way(entry: Mapping[str, Any], way: str) -> Mapping[str, Any]:
    return entry["diagnosis"]["ways"][way]


def trained(results: Mapping[str, Any], modalities: tuple[str, str]) -> dict[Pair, float]:
    """Mean over seeds of the sum of recalls, by names of encoders."""
    found: dict[Pair, list[float]] = defaultdict(list)
    for job in results["jobs"]:
        if job["state"] == "done":
            left, right = (_name(job["axes"][modality]) for modality in modalities)
            found[left, right].append(job["figures"]["recall_sum"])
    return {pair: float(np.mean(values)) for pair, values in found.items()}


def _name(value: str) -> str:
    listed = json.loads(value) if value.startswith("[") else [value]
    return "+".join(listed)


def correlation(score: Mapping[Pair, float], after: Mapping[Pair, float]) -> tuple[float, float, float]:
    """Spearman's rho and its 95 % interval."""
    sides = [sorted({pair[side] for pair in after}) for side in (0, 1)]
    rng, drawn = np.random.default_rng(0), []
    while len(drawn) < DRAWS:
        some = [rng.choice(names, len(names)) for names in sides]
        if min(len(set(names)) for names in some) < min(LEAST, *map(len, sides)):
            continue
        pairs = [(left, right) for left in some[0] for right in some[1] if (left, right) in after]
        if len({after[pair] for pair in pairs}) > 1 and len({score[pair] for pair in pairs}) > 1:
            drawn.append(_rho(score, after, pairs))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return _rho(score, after, list(after)), float(low), float(high)


def _rho(score: Mapping[Pair, float], after: Mapping[Pair, float], pairs: list[Pair]) -> float:
    ranks = [rankdata([of[pair] for pair in pairs]) for of in (score, after)]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ranking", type=Path)
    parser.add_argument("results", type=Path)
    asked = parser.parse_args()
    ranking: Any = read_json(asked.ranking)
    entries = {(entry["left"], entry["right"]): entry for entry in ranking["ranking"]}
    after = trained(read_json(asked.results), tuple(ranking["modalities"]))
    after = {pair: value for pair, value in after.items() if pair in entries}
    good = {pair: value for pair, value in after.items() if value >= max(after.values()) / 2}
    rows = []
    for name, read in scores().items():
        score = {pair: read(entries[pair]) for pair in after}
        best = max(score, key=lambda pair: score[pair])
        rows.append([name, *(_shown(correlation(score, some)) for some in (after, good)), " × ".join(best)])
    heads = [Column("score"), Column(f"all {len(after)} pairs"), Column(f"{len(good)} good ones"), Column("its first")]
    console.print(terminal_table("rank correlation with recall after training", heads, rows, frame=BARE))
    for pair, value in sorted(after.items(), key=lambda item: -item[1])[:10]:
        console.print(f"{100 * value:6.1f}  {' × '.join(pair)}")


def _shown(found: tuple[float, float, float]) -> str:
    return f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})"


if __name__ == "__main__":
    main()
