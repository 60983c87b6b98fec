"""Gallery items that are found too often, and corrections that need no training.

Place in the flow: what was found -> figures of hubness; masses -> what is added to scores -> ranks, as ever.

A hub is a gallery item that stands near the top for many queries that it does not belong to. Both corrections divide a
gallery item's score, made positive by an exponential, by its sum over a bank of queries. In logarithms this takes a
number from each gallery item's score, `score - mass / beta`, and corrected ranks are counted by the same code.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy.stats import skew
from torch import Tensor

from fusemix.retrieval.counting import Shift
from fusemix.retrieval.listing import Listing
from fusemix.retrieval.masses import Masses
from fusemix.retrieval.tiles import ALONE, walk

TOP = 10
BETA = 20.0
"""Inverse temperature of the corrections, as in the code of Bogolin et al. 2022."""
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
    "hub_constants": "From each score a constant of the gallery item is taken: alpha / beta times the logarithm of the "
    "mean, over a bank of training items of the query's modality, of exp(beta times their score). It looks at one "
    "query at a time. Alpha and beta are those that found most on the run's validation set; after Chowdhury et al., "
    "EMNLP 2024, arXiv:2410.24114.",
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


def inverted_softmax(masses: Float32[np.ndarray, " items"], beta: float = BETA) -> Shift:
    """What the inverted softmax adds to the scores of queries and gallery items; see DEFINITIONS.

    Args:
        masses: of the gallery items, over all queries; see `ranks.Seen`.
        beta: inverse temperature of the masses.
    """
    return Shift(-masses / np.float32(beta))


class Bank(NamedTuple):
    """What a bank of queries says of a gallery.

    Attributes:
        masses: of each gallery item, the logarithm of the sum of exp(beta * score) over the bank.
        is_activated: whether it is the best item of some query of the bank.
    """

    masses: Float32[np.ndarray, " items"]
    is_activated: Bool[np.ndarray, " items"]


def bank_over(bank: Float32[Tensor, "bank dim"], gallery: Float32[Tensor, "items dim"], beta: float = BETA) -> Bank:
    """Ask a gallery with the queries of a bank, in one pass over their scores.

    Args:
        bank, gallery: unit length, on one device.
        beta: inverse temperature, above 0.
    """
    sizes = len(bank), len(gallery)
    masses, listing = Masses(sizes, beta), Listing(sizes, (1, 0))
    walk(bank, gallery, [masses, listing])
    (best,) = listing.best()
    is_activated = np.zeros(len(gallery), dtype=bool)
    is_activated[best.positions[:, 0]] = True
    return Bank(masses.logarithms(ALONE)[1], is_activated)


def query_bank(
    bank: Bank,
    queries: Int64[np.ndarray, " asking"],
    best: Int64[np.ndarray, " asking"],
    num_queries: int,
    beta: float = BETA,
) -> Shift:
    """What query-bank normalisation adds to the scores of queries and gallery items; see DEFINITIONS.

    Args:
        bank: of the gallery.
        queries: positions of those that ask.
        best: the best gallery item of each.
        num_queries: of the evaluation, those without link included.
        beta: inverse temperature of the bank's masses.
    """
    corrected = np.zeros(num_queries, dtype=np.float32)
    corrected[queries] = bank.is_activated[best]
    return Shift(-bank.masses / np.float32(beta), corrected)
