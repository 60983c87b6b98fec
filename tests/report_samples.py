"""Report folders as an evaluation leaves them, made from ranks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fusemix.reports.reading import FORMAT, VERSION

IMAGES, CAPTIONS = 40, 5
IMAGE_IDS = [f"{number:03d}.jpg" for number in range(IMAGES)]
DIRECTIONS = ("image_to_text", "text_to_image")


def drawn_ranks(seed: int, hardness: float = 6.0) -> dict[str, np.ndarray]:
    """Ranks of every picture and of its captions, which are about as hard to find as one another."""
    generator = np.random.default_rng(seed)
    hard = generator.exponential(hardness, size=IMAGES)
    captions = generator.poisson(np.repeat(hard, CAPTIONS))
    return {"image_to_text": 1 + generator.poisson(hard), "text_to_image": np.minimum(1 + captions, IMAGES)}


def query_rows(ranks: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    captions = [(f"{image}#{number}", image) for image in IMAGE_IDS for number in range(CAPTIONS)]
    asked = {"image_to_text": [(image, image) for image in IMAGE_IDS], "text_to_image": captions}
    return [
        {"direction": direction, "query": query, "left_item": left, "rank": int(rank), "found": ["x"], "scores": [0.1]}
        for direction in ranks
        for (query, left), rank in zip(asked[direction], ranks[direction], strict=True)
    ]


def figures(ranks: Mapping[str, np.ndarray], ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
    made = {f"{d}/recall_at_{k}": float((ranks[d] <= k).mean()) for d in ranks for k in ks}
    total = sum(made.values())
    made |= {f"{d}/mrr": float((1 / ranks[d]).mean()) for d in ranks}
    made |= {f"{d}/median_rank": float(np.median(ranks[d])) for d in ranks}
    return made | {"recall_sum": total, "mean_recall": total / len(ks) / 2}


def report_content(ranks: Mapping[str, np.ndarray], ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, Any]:
    metrics = figures(ranks, ks)
    recalls = [key for key in metrics if "/recall_at_" in key]
    return {
        "format": FORMAT,
        "version": VERSION,
        "protocol": {"name": "whole_split", "about": "Every item of the split.", "folds": 1},
        "metrics": metrics,
        "intervals": {key: [max(0.0, metrics[key] - 0.08), min(1.0, metrics[key] + 0.08)] for key in recalls},
        "counts": {
            "image_to_text": {"queries": IMAGES, "gallery": IMAGES * CAPTIONS, "links": 200, "tied_queries": 0},
            "text_to_image": {"queries": IMAGES * CAPTIONS, "gallery": IMAGES, "links": 200, "tied_queries": 0},
        },
        "others": [],
        "data": {
            "name": "photos/test",
            "dataset": "photos",
            "split": "test",
            "revision": "1",
            "sha256": {"left": "a" * 64, "right": "b" * 64, "links": "c" * 64},
        },
        "model": {"run": "runs/a", "checkpoint": "best"},
    }


def write_report(folder: Path, content: Mapping[str, Any], ranks: Mapping[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(content))
    rows = query_rows(ranks)
    (folder / "queries.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return folder


def sample_report(folder: Path, seed: int = 0, hardness: float = 6.0, **changes: Any) -> Path:
    """A complete report folder; `changes` replace parts of report.json."""
    ranks = drawn_ranks(seed, hardness)
    return write_report(folder, report_content(ranks) | changes, ranks)
