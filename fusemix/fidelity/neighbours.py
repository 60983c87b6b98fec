"""Precision, recall, density and coverage: which pictures lie among the neighbours of which.

Place in the flow: features of generated and of reference pictures -> Neighbours; the nearest reference of each.

The ball around an item reaches to its k-th nearest of its own set, itself not counted, and what lies on its surface is
inside. Distances are Euclidean, and never more than a tile of them is held.

Source: precision and recall of Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative
Models", NeurIPS 2019, arXiv:1904.06991; density and coverage of Naeem et al., "Reliable Fidelity and Diversity Metrics
for Generative Models", ICML 2020, arXiv:2002.09797.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

from fusemix.fidelity.jackknife import QUANTILE

TILE = (1024, 8192)
"""Rows and columns of distances made at once: 67 MB."""


class Neighbours(NamedTuple):
    """One value an item; the mean of each field is the figure of its name.

    Attributes:
        precision: whether a generated picture lies in the ball of some reference picture.
        recall: whether a reference picture lies in the ball of some generated picture.
        density: in how many balls of reference pictures a generated one lies, over k; the mean may exceed 1.
        coverage: whether the ball of a reference picture holds some generated picture.
    """

    precision: Bool[np.ndarray, " generated"]
    recall: Bool[np.ndarray, " reference"]
    density: Float64[np.ndarray, " generated"]
    coverage: Bool[np.ndarray, " reference"]


def _tiles(num_rows: int, num_columns: int) -> Iterator[tuple[slice, slice]]:
    height, width = TILE
    for at in range(0, num_rows, height):
        for start in range(0, num_columns, width):
            yield slice(at, min(at + height, num_rows)), slice(start, min(start + width, num_columns))


def radii(features: Float64[Tensor, "items dim"], k: int) -> Float64[Tensor, " items"]:
    """Distance of each item to its k-th nearest other item.

    Args:
        features: of more than `k` items.
        k: from 1.

    Raises:
        ValueError: there are not so many others.
    """
    if not 1 <= k < len(features):
        raise ValueError(f"k={k}, but {len(features)} items have {len(features) - 1} others each")
    nearest = torch.full((len(features), k), torch.inf, dtype=features.dtype, device=features.device)
    for rows, columns in _tiles(len(features), len(features)):
        distances = torch.cdist(features[rows], features[columns])
        own = torch.arange(rows.start, rows.stop, device=features.device) - columns.start
        is_here = (own >= 0) & (own < distances.shape[1])
        distances[is_here.nonzero()[:, 0], own[is_here]] = torch.inf
        both = torch.cat([nearest[rows], distances], dim=1)
        nearest[rows] = both.topk(k, dim=1, largest=False).values
    return nearest.max(dim=1).values


def neighbours(
    generated: Float64[Tensor, "generated dim"], reference: Float64[Tensor, "reference dim"], k: int
) -> Neighbours:
    """Who lies in whose ball.

    Args:
        generated, reference: more than `k` items each, on one device.
        k: from 1; 3 in the paper on precision, 5 in that on density.

    Raises:
        ValueError: a set has not so many.
    """
    around, around_real = radii(generated, k), radii(reference, k)
    inside = torch.zeros(len(generated), dtype=torch.int64, device=generated.device)
    recalled, covered = torch.zeros(2, len(reference), dtype=torch.bool, device=generated.device)
    for rows, columns in _tiles(len(generated), len(reference)):
        distances = torch.cdist(generated[rows], reference[columns])
        is_real = distances <= around_real[columns]
        inside[rows] += is_real.sum(dim=1)
        covered[columns] |= is_real.any(dim=0)
        recalled[columns] |= (distances <= around[rows, None]).any(dim=0)
    counts = inside.cpu().numpy()
    return Neighbours(counts > 0, recalled.cpu().numpy(), counts / k, covered.cpu().numpy())


class Nearest(NamedTuple):
    """Of each item the nearest of another set, by cosine."""

    cosines: Float64[np.ndarray, " items"]
    places: Int64[np.ndarray, " items"]


def nearest_by_cosine(
    items: Float64[Tensor, "items dim"], others: Float64[Tensor, "others dim"], *, are_same: bool = False
) -> Nearest:
    """The item of another set that has the highest cosine with each.

    Args:
        items, others: on one device; an item of zeros has the cosine 0 with all.
        are_same: both are one set, of two items at least, whose items are not their own neighbours.
    """
    one, other = F.normalize(items, dim=1), F.normalize(others, dim=1)
    best = torch.full((len(items),), -torch.inf, dtype=items.dtype, device=items.device)
    places = torch.zeros(len(items), dtype=torch.int64, device=items.device)
    for rows, columns in _tiles(len(items), len(others)):
        cosines = one[rows] @ other[columns].T
        if are_same:
            mine = torch.arange(rows.start, rows.stop, device=items.device)[:, None]
            theirs = torch.arange(columns.start, columns.stop, device=items.device)
            cosines.masked_fill_(mine == theirs, -torch.inf)
        found = cosines.max(dim=1)
        is_nearer = found.values > best[rows]
        places[rows] = torch.where(is_nearer, found.indices + columns.start, places[rows])
        best[rows] = torch.where(is_nearer, found.values, best[rows])
    return Nearest(best.clamp(-1, 1).cpu().numpy(), places.cpu().numpy())


def share_interval(holds: Bool[np.ndarray, " items"]) -> tuple[float, float]:
    """95 % of a share over items, which is not empty at 0 and 1: Wilson's score interval (JASA 22, 1927)."""
    num, square = len(holds), QUANTILE**2
    share, weight = float(holds.mean()), num / (num + square)
    middle = weight * share + (1 - weight) / 2
    reach = weight * QUANTILE * (share * (1 - share) / num + square / (4 * num**2)) ** 0.5
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def mean_interval(values: Float64[np.ndarray, " items"]) -> tuple[float, float]:
    """95 % of a mean over items that is not below 0, by its standard error."""
    reach = QUANTILE * float(values.std(ddof=1)) / len(values) ** 0.5
    return max(float(values.mean()) - reach, 0.0), float(values.mean()) + reach
