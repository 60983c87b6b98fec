"""Gallery items that are found too often, and corrections that need no training.

Place in the flow: what was found -> figures of hubness; embeddings -> what is added to scores -> ranks, as ever.

A hub is a gallery item that stands near the top for many queries that it does not belong to. Both corrections divide a
gallery item's score, made positive by an exponential, by its sum over a bank of queries. In logarithms this takes a
number from each gallery item's score, `score - mass / beta`, and corrected ranks are counted by the same code.
"""

import numpy as np
import torch
from jaxtyping import Float32, Int64
from scipy.stats import skew
from torch import Tensor

from fusemix.retrieval.counting import Shift, full_float32

TOP = 10
BETA = 20.0
"""Inverse temperature of the corrections, as in the code of Bogolin et al. 2022."""
TILE = (1024, 16384)
DEFINITIONS = {
    "skewness_at_10": "Skewness of the number of queries that have a gallery item among their first 10, over gallery "
    "items; 0 where all are found equally often.",
    "over_retrieved": "Share of gallery items found among the first 10 more often than the mean by two standard "
    "deviations (hubs, as in Radovanović, Nanopoulos & Ivanović, JMLR 2010).",
    "never_retrieved": "Share of gallery items that are among the first 10 of no query.",
    "largest": "Number of queries that have the most often found item among their first 10.",
    "inverted_softmax": "Smith et al., ICLR 2017, arXiv:1702.03859; the bank is all queries of the evaluation itself, "
    "so it looks at queries together, which a system that answers one at a time cannot.",
    "query_bank": "Query-bank normalisation with the dynamic inverted softmax, Bogolin et al., CVPR 2022, "
    "arXiv:2112.12777; the bank is queries of the training set, and only queries are corrected whose best item is the "
    "best of some query of the bank.",
}


def hubness(found: Int64[np.ndarray, "queries k"], num_items: int) -> dict[str, float]:
    """Figures of hubness; see DEFINITIONS.

    Args:
        found: positions of the gallery items at the top of each query, the first 10 of which count.
        num_items: size of the gallery.
    """
    times = np.bincount(found[:, :TOP].ravel(), minlength=num_items)
    often = times > times.mean() + 2 * times.std()
    return {
        "skewness_at_10": float(skew(times)) if times.std() else 0.0,
        "over_retrieved": float(often.mean()),
        "never_retrieved": float((times == 0).mean()),
        "largest": int(times.max()),
    }


def log_mass(
    bank: Float32[Tensor, "bank dim"], gallery: Float32[Tensor, "items dim"], beta: float = BETA
) -> Float32[Tensor, " items"]:
    """Logarithm of the sum of exp(beta * score) over a bank, for each gallery item.

    Args:
        bank, gallery: unit length, on one device.
        beta: inverse temperature, above 0.
    """
    mass = torch.full((len(gallery),), -torch.inf, device=gallery.device)
    with full_float32():
        for queries in bank.split(TILE[0]):
            for items, so_far in zip(gallery.split(TILE[1]), mass.split(TILE[1]), strict=True):
                so_far.copy_(so_far.logaddexp((beta * (queries @ items.T)).logsumexp(dim=0)))
    return mass


def inverted_softmax(
    query: Float32[Tensor, "queries dim"], gallery: Float32[Tensor, "items dim"], beta: float = BETA
) -> Shift:
    """What the inverted softmax adds to the scores of queries and gallery items; see DEFINITIONS.

    Args:
        query, gallery: unit length, on one device.
        beta: inverse temperature, above 0.
    """
    return Shift(torch.ones(len(query), device=query.device), -log_mass(query, gallery, beta) / beta)


def query_bank(
    query: Float32[Tensor, "queries dim"],
    gallery: Float32[Tensor, "items dim"],
    bank: Float32[Tensor, "bank dim"],
    beta: float = BETA,
) -> Shift:
    """What query-bank normalisation adds to the scores of queries and gallery items; see DEFINITIONS.

    Args:
        query, gallery, bank: unit length, on one device.
        beta: inverse temperature, above 0.
    """
    is_activated = torch.zeros(len(gallery), dtype=torch.bool, device=gallery.device)
    is_activated[best_items(bank, gallery)] = True
    corrected = is_activated[best_items(query, gallery)].float()
    return Shift(corrected, -log_mass(bank, gallery, beta) / beta)


def best_items(
    query: Float32[Tensor, "queries dim"], gallery: Float32[Tensor, "items dim"]
) -> Int64[Tensor, " queries"]:
    """Position of the best gallery item of each query."""
    places = []
    with full_float32():
        for queries in query.split(TILE[0]):
            tops = [(queries @ items.T).max(dim=1) for items in gallery.split(TILE[1])]
            tile = torch.stack([top.values for top in tops]).argmax(dim=0)
            within = torch.stack([top.indices for top in tops]).gather(0, tile[None])[0]
            places.append(within + tile * TILE[1])
    return torch.cat(places)
