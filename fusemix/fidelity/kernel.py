"""Kernel distance of two sets of features: the squared maximum mean discrepancy, without bias.

Place in the flow: features of generated and of reference pictures -> Kernel.

Source: Bińkowski et al., "Demystifying MMD GANs", ICLR 2018, arXiv:1801.01401. They average over random subsets of
1,000 pictures; here all pairs are taken at once, tile by tile, which is the same estimate with less variance.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn import functional as F

from fusemix.fidelity.jackknife import blocks_of, interval_of

TILE = 2048
"""Rows and columns of kernel values made at once: 34 MB."""


class Kernel(NamedTuple):
    """A distance.

    Attributes:
        distance: without bias, so that it may be a little below 0 where both sets are alike.
        interval: of 95 %; None where a set has two pictures only.
    """

    distance: float
    interval: tuple[float, float] | None


class Side(NamedTuple):
    """A set, and the block of each of its items as one-hot rows."""

    features: Float64[Tensor, "items dim"]
    blocks: Float64[Tensor, "items blocks"]


def kernel_distance(
    generated: Float64[Tensor, "generated dim"], reference: Float64[Tensor, "reference dim"], *, seed: int = 0
) -> Kernel:
    """MMD² with the kernel (x·y / dim + 1)³, over all pairs of different items.

    Args:
        generated, reference: two items at least, on one device.
        seed: of the blocks of the jackknife.
    """
    generator = np.random.default_rng(seed)
    sides = [_side(side, generator) for side in (generated, reference)]
    within = [_within(side) for side in sides]
    between = _sums(*sides)
    sizes = [side.blocks.sum(dim=0).cpu().numpy() for side in sides]
    distance = float(_distance([one.sum() for one in within], between.sum(), [size.sum() for size in sizes]))
    if min(map(len, (generated, reference))) < 3:
        return Kernel(distance, None)
    without = [_without(place, within, between, sizes) for place in (0, 1)]
    return Kernel(distance, interval_of(distance, without))


def _side(features: Float64[Tensor, "items dim"], generator: np.random.Generator) -> Side:
    blocks = torch.from_numpy(blocks_of(len(features), generator)).to(features.device)
    return Side(features, F.one_hot(blocks).double())


def _sums(one: Side, other: Side) -> Float64[np.ndarray, "blocks others"]:
    """Sums of kernel values between the items of each block of one set and of each of the other."""
    total = torch.zeros(one.blocks.shape[1], other.blocks.shape[1], dtype=torch.float64, device=one.blocks.device)
    for at in range(0, len(one.features), TILE):
        for start in range(0, len(other.features), TILE):
            rows, columns = slice(at, at + TILE), slice(start, start + TILE)
            products = one.features[rows] @ other.features[columns].T
            total += one.blocks[rows].T @ _kernel(products, one.features.shape[1]) @ other.blocks[columns]
    return total.cpu().numpy()


def _kernel(products: Float64[Tensor, "..."], dim: int) -> Float64[Tensor, "..."]:
    return (products / dim + 1) ** 3


def _within(side: Side) -> Float64[np.ndarray, "blocks blocks"]:
    """The same within one set, without the pairs of an item with itself."""
    own = _kernel(side.features.square().sum(dim=1), side.features.shape[1]) @ side.blocks
    return _sums(side, side) - np.diag(own.cpu().numpy())


def _distance(within: list[Any], between: Any, sizes: list[Any]) -> Any:
    """From sums and sizes of whole sets, or of sets without one block after the other."""
    (one, other), (num, num_others) = within, sizes
    return one / (num * (num - 1)) + other / (num_others * (num_others - 1)) - 2 * between / (num * num_others)


def _without(
    place: int,
    within: list[Float64[np.ndarray, "_ _"]],
    between: Float64[np.ndarray, "blocks others"],
    sizes: list[Float64[np.ndarray, " _"]],
) -> Float64[np.ndarray, " _"]:
    """Distances without each block of one set: its rows and columns are taken out of the sums."""
    mine = within[place]
    left = mine.sum() - 2 * mine.sum(axis=1) + mine.diagonal()
    across = between.sum() - between.sum(axis=1 - place)
    num, rest = sizes[place].sum() - sizes[place], sizes[1 - place].sum()
    return _distance([left, within[1 - place].sum()], across, [num, rest])
