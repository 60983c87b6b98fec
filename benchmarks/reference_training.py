"""Training as the paper describes it, written plainly: what benchmarks/train.py compares with.

A Dataset gives one pair of float32 tensors, collated one by one; halves of a batch are mixed with one weight; adapters
are pre-norm residual blocks; all logits are held, and cross-entropy is taken both ways; AdamW; float32 throughout.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from train import Peak, Sizes, Timer, here, product_rate


class Pairs(Dataset):
    """Latents in dicts, one tensor an item."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        files = [sorted((folder / "set" / modality / "made_up").glob("*.npy")) for modality in ("image", "text")]
        sides = [np.concatenate([np.load(file) for file in of_side]) for of_side in files]
        self.left, self.right = (
            {str(row): torch.from_numpy(latent).float() for row, latent in enumerate(side)} for side in sides
        )

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.left[str(index)], self.right[str(index)]


class Block(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.dropout(F.gelu(self.up(self.norm(x)))))


def adapter(width: int, sizes: Sizes) -> nn.Module:
    blocks = [Block(width, sizes.dropout) for _ in range(sizes.blocks)]
    return nn.Sequential(*blocks, nn.LayerNorm(width), nn.Linear(width, sizes.embedding_dim))


class Model(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.left, self.right = (adapter(width, sizes) for width in sizes.widths)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        one, other = F.normalize(self.left(left), dim=1), F.normalize(self.right(right), dim=1)
        logits = self.log_scale.exp() * one @ other.T
        own = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def batches(pairs: Pairs, sizes: Sizes, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        loader = DataLoader(
            pairs, batch_size=2 * sizes.batch, shuffle=True, drop_last=True, pin_memory=device.type == "cuda"
        )
        for left, right in loader:
            yield left.to(device, non_blocking=True), right.to(device, non_blocking=True)


def train_step(model: Model, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> None:
    weight = np.random.beta(1.0, 1.0)
    left, right = (weight * side[: len(side) // 2] + (1 - weight) * side[len(side) // 2 :] for side in batch)
    loss = model(left, right)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def figures(folder: Path) -> dict[str, Any]:
    device, sizes = here()
    pairs, model = Pairs(folder, sizes), Model(sizes).to(device)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    spared = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    stream, seconds = batches(pairs, sizes, device), {}
    one = next(stream)
    train_step(model, optimizer, one)
    peak = Peak(device)
    for kind in ("data", "step", "loop"):
        timer = Timer(device)
        for _ in range(sizes.steps):
            batch = one if kind == "step" else next(stream)
            if kind != "data":
                train_step(model, optimizer, batch)
        seconds[kind] = timer.seconds() / sizes.steps
    return {**seconds, "memory": peak.bytes(), "precision": "float32", "rate": product_rate(device, torch.float32)}
