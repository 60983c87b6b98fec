"""Settings of small runs, for the tests of training."""

from pathlib import Path

import torch

from fusemix.fusion.checkpoints import read_checkpoint


def arguments(make_set, out: Path, **changes: object) -> list[str]:
    settings = {
        "train": make_set("train"),
        "validation": make_set("validation", num_left=40, seed=1),
        "encoders": "{image: [eyes], text: [words]}",
        "out": out,
        "embedding_dim": 8,
        "adapter.options": "{num_blocks: 1, dropout: 0.3}",
        "optim.batch_size": 16,
        "optim.max_epochs": 12,
        "optim.warmup_steps": 5,
        "compute": "cpu",
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return [f"{key}={value}" for key, value in settings.items()]


def weights(out: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return read_checkpoint(out / "checkpoints" / f"{name}.ckpt")["state_dict"]


def recalls(out: Path, column: str = "validation/mean_recall") -> list[float]:
    rows = (out / "metrics.csv").read_text().splitlines()
    place = rows[0].split(",").index(column)
    return [float(row.split(",")[place]) for row in rows[1:] if row.split(",")[place]]
