"""A constant of each gallery item, by which it is found neither too often nor too rarely.

Place in the flow: bank of training queries, gallery -> constants -> scores of one query at a time -> ranks.

    corrected score = score − alpha · 1/beta · log mean over the bank of exp(beta · score of the item with its queries)

The bank are training items of the query's modality, so no other query of a test is looked at, and the constant of an
item is known when it is indexed. Source: "Nearest Neighbor Normalization Improves Multimodal Retrieval" (Chowdhury et
al., EMNLP 2024, arXiv:2410.24114), which takes the mean of the largest scores of the bank; the soft mean here goes from
the mean of all (beta towards 0) to the largest one (beta towards infinity).
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fusemix.retrieval.counting import Shift
from fusemix.retrieval.masses import Masses
from fusemix.retrieval.metrics import directions_of
from fusemix.retrieval.ranks import shifted_ranks
from fusemix.retrieval.tiles import ALONE, walk

QUERIES_AT_ONCE = 512
ALPHAS, BETAS = (0.3, 0.5, 0.7, 0.85, 1.0), (5.0, 10.0, 20.0, 40.0)
"""What is tried on validation; `masses.Masses` holds no beta above 50."""
Sides = tuple[Float32[Tensor, "left dim"], Float32[Tensor, "right dim"]]
"""Embeddings of the left and of the right modality, unit length, on one device."""
Banks = tuple[Float32[Tensor, "left_bank dim"], Float32[Tensor, "right_bank dim"]]
"""The same of training items."""


class Strength(NamedTuple):
    """How hubs are corrected in one direction.

    Attributes:
        alpha: factor of the constants; 0 leaves scores as they are.
        beta: inverse temperature of the mean over the bank, above 0.
    """

    alpha: float
    beta: float


class Fitted(NamedTuple):
    """What was found for one direction on held-out items.

    Attributes:
        strength: with which most is found.
        plain, corrected: sums of recalls without and with it, as fractions.
    """

    strength: Strength
    plain: float
    corrected: float


NONE = Strength(0.0, BETAS[0])


def constants(
    bank: Float32[Tensor, "bank dim"], gallery: Float32[Tensor, "items dim"], strength: Strength
) -> Float32[np.ndarray, " items"]:
    """What is taken from the score of each gallery item.

    Args:
        bank: training items of the query's modality, unit length, on the device of the gallery.
        gallery: unit length.
        strength: of the direction.
    """
    if strength.alpha == 0 or len(gallery) == 0:
        return np.zeros(len(gallery), dtype=np.float32)
    (mean,) = _soft_means(bank, gallery, [strength.beta])
    return np.float32(strength.alpha) * mean


def _soft_means(bank: Tensor, gallery: Tensor, betas: Sequence[float]) -> list[Float32[np.ndarray, " items"]]:
    """Of the scores of each gallery item with the bank, for each beta; in one pass over the scores."""
    masses = [Masses((len(bank), len(gallery)), beta) for beta in betas]
    walk(bank, gallery, masses)
    logarithms = (mass.logarithms(ALONE)[1] - np.float32(np.log(len(bank))) for mass in masses)
    return [(found / np.float32(beta)).astype(np.float32) for found, beta in zip(logarithms, betas, strict=True)]


def fitted_strengths(
    sides: Sides, links: Int64[np.ndarray, "links 2"], banks: Banks, ks: Sequence[int]
) -> tuple[Fitted, Fitted]:
    """The strengths with which both directions find most on held-out items; alpha 0 where none helps.

    Args:
        sides: held-out items.
        links: (left position, right position).
        banks: training items.
        ks: depths of recall, whose sum is to be largest.

    Returns:
        Of left to right, whose constants are those of right items, and of right to left.
    """
    tried = [NONE, *(Strength(alpha, beta) for beta, alpha in product(BETAS, ALPHAS))]
    ways = [
        _shifts(gallery.contiguous(), bank.contiguous(), tried)
        for gallery, bank in zip(sides[::-1], banks, strict=True)
    ]
    sizes = len(sides[0]), len(sides[1])
    sums: list[list[float]] = [[], []]
    for both in shifted_ranks(*sides, links, list(zip(*ways, strict=True))):
        for way, direction in zip(sums, directions_of(both, ("left", "right"), sizes, ks), strict=True):
            way.append(sum(direction.figures[f"recall_at_{k}"] for k in ks))
    one, other = (Fitted(tried[int(np.argmax(way))], way[0], max(way)) for way in sums)
    return one, other


def _shifts(gallery: Tensor, bank: Tensor, tried: Sequence[Strength]) -> list[Shift]:
    """What each strength adds to the scores of a gallery."""
    whole = dict(zip(BETAS, _soft_means(bank, gallery, BETAS), strict=True))
    return [Shift(np.float32(-strength.alpha) * whole[strength.beta]) for strength in tried]


def best_scores(
    queries: Float32[Tensor, "queries dim"],
    gallery: Float32[Tensor, "items dim"],
    taken: Float32[np.ndarray, " items"],
    *,
    are_same: bool = False,
) -> float:
    """Mean over queries of the highest score among gallery items.

    Args:
        queries, gallery: unit length, on one device.
        taken: from the score of each gallery item.
        are_same: row i of the queries is row i of the gallery, and does not count.
    """
    less = torch.from_numpy(taken).to(gallery)
    best = []
    for at in range(0, len(queries), QUERIES_AT_ONCE):
        some = queries[at : at + QUERIES_AT_ONCE]
        scores = some @ gallery.T - less
        if are_same:
            scores[torch.arange(len(some)), at + torch.arange(len(some))] = -torch.inf
        best.append(scores.amax(dim=1))
    return float(torch.cat(best).mean())


def beside(vectors: Float32[Tensor, "items dim"], column: Float32[np.ndarray, " items"]) -> Float32[Tensor, "items _"]:
    """Vectors with one more number each.

    With 1 in queries and minus its constant in each gallery item, inner products are corrected scores.
    """
    return torch.cat([vectors, torch.from_numpy(column)[:, None].to(vectors)], dim=1)
