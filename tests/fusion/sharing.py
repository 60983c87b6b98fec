"""Losses of a batch that processes share over gloo, for test_processes.py: what each process finds goes into a file.

python tests/fusion/sharing.py RANK PROCESSES FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from fusemix.errors import RunError
from fusemix.fusion.gathering import own_part, rows_of_parts, stop_together
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.losses.regression import mean_squared_distance
from fusemix.fusion.losses.structure import structure_divergence
from fusemix.fusion.stretches import by_stretches
from fusemix.latents.galleries import Gallery
from fusemix.models.scoring import retrieval_scorer

ROWS, POSITIVES = 12, 2
FORMS = {"structure": "jensen_shannon", "published structure": "published"}
NAMES = [*LOSSES.names(), *FORMS, "smoothed", "recomputed", "regression"]


class Towers(nn.Module):
    """Two adapters, a temperature and a loss, in float64."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Linear(5, 4), nn.Linear(6, 4)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        options = {"label_smoothing": 0.2} if name == "smoothed" else {}
        kind = name if name in LOSSES.names() else "info_nce"
        self.loss = LOSSES.build(kind, options)
        self.form, self.is_cut = FORMS.get(name), name == "recomputed"
        self.has_regression = name == "regression"
        self.double()

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        one, other = F.normalize(self._adapted(self.left, left)), F.normalize(self._adapted(self.right, right))
        loss = self.loss(one, other, self.log_scale.exp())
        if self.form:
            sides = ((left, one), (right, other))
            loss = loss + sum(structure_divergence(before, after, 0.1, self.form) for before, after in sides)
        if self.has_regression:
            loss = loss + 2 * mean_squared_distance(one, other)
        return loss

    def _adapted(self, adapter: nn.Module, rows: Tensor) -> Tensor:
        again = self.is_cut and dist.is_initialized()  # one process alone holds what it needs
        return by_stretches(adapter, rows, again=again)


def batch(step: int) -> tuple[Tensor, Tensor]:
    """The whole batch; the right side in blocks of positives."""
    generator = torch.Generator().manual_seed(step)
    draw = {"generator": generator, "dtype": torch.float64}
    return torch.randn(ROWS, 5, **draw), torch.randn(POSITIVES, ROWS, 6, **draw)


def ten_steps(name: str, rank: int, num_processes: int) -> dict[str, list[Tensor]]:
    """Losses, first gradients and last weights of ten optimiser steps on this process's share of each batch."""
    towers = Towers(name)
    model = nn.parallel.DistributedDataParallel(towers) if num_processes > 1 else towers
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    losses, first = [], []
    for step in range(10):
        left, right = batch(step)
        own = slice(rank * ROWS // num_processes, (rank + 1) * ROWS // num_processes)
        loss = model(left[own], right[:, own].reshape(-1, 6))
        optimizer.zero_grad()
        loss.backward()
        first = first or [p.grad.clone() for p in towers.parameters()]
        optimizer.step()
        losses.append(loss.detach())
    return {"losses": losses, "gradients": first, "weights": [p.detach() for p in towers.parameters()]}


def how_it_stops(rank: int, num_processes: int) -> list[str]:
    """What becomes of a process where none has a problem, and where the last one has."""
    stop_together(None)
    problem = "no room" if rank == num_processes - 1 else None
    try:
        stop_together(problem)
    except (RunError, SystemExit) as error:
        return [type(error).__name__, str(error)]
    return []


def validated(items: int = 43) -> dict[str, float]:
    """Figures of made-up embeddings, each process having made its part of them, and ranked its part."""
    generator = torch.Generator().manual_seed(0)
    left, right = (F.normalize(torch.randn(count, 6, generator=generator), dim=1) for count in (items, 2 * items))
    links = np.column_stack([np.arange(2 * items) // 2, np.arange(2 * items)])
    gallery = Gallery(np.arange(items), np.arange(2 * items), links)
    scorer = retrieval_scorer(gallery, ("image", "text"), shared=True)
    assert scorer is not None, "there is a gallery"
    return scorer(*(rows_of_parts(side[own_part(len(side))], len(side)) for side in (left, right)))


def work(rank: int, num_processes: int, folder: str) -> None:
    """What each process does."""
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=num_processes)
    found = {name: ten_steps(name, rank, num_processes) for name in NAMES}
    found["validated"] = validated()
    found["stopping"] = how_it_stops(rank, num_processes)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
