"""The score below which what is found is more likely wrong than right.

Place in the flow: held-out items and their links, constants of hubs -> cut of a direction -> hubs.safetensors.

Of the items that have a score c, as many are right as wrong (Bayes) where

    f · p(c | right) = (1 − f) · p(c | wrong),

with f the share of items that fit a query. So the cut is the c with most of f · P(right ≥ c) − (1 − f) · P(wrong ≥ c):
there a threshold errs least (Duda, Hart and Stork, "Pattern Classification", 2nd edition, section 2.2). Held-out
queries tell both distributions; but how many of their items fit is only as large as their gallery, in which each query
names one photograph of a thousand. What people ask for fits more, so f is FITTING, whatever the size of the gallery.
"""

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

FITTING = 0.02
"""Share of items that fit a query. With it, the cut lies where it does for single words, judged by captions
(docs/searching.md has the figures)."""
FEWEST = 30
"""Right pairs that are needed."""
LOWEST, HIGHEST, BINS = -2.0, 2.0, 8192
"""Scores are counted in bins of so wide a range: cosines, less constants, which are no larger."""
QUERIES_AT_ONCE = 512


def cut_of(
    queries: Float32[Tensor, "queries dim"],
    gallery: Float32[Tensor, "items dim"],
    links: Int64[np.ndarray, "links 2"],
    taken: Float32[np.ndarray, " items"],
) -> float | None:
    """The cut of one direction; None where there are too few right pairs, or scores do not tell them from others.

    Args:
        queries, gallery: held-out items, unit length, on one device.
        links: (query, item) that are right.
        taken: from the score of each item.
    """
    if len(links) < FEWEST:
        return None
    less = torch.from_numpy(taken).to(gallery)
    every = torch.zeros(BINS, dtype=torch.float64)
    for at in range(0, len(queries), QUERIES_AT_ONCE):
        every += _counts(queries[at : at + QUERIES_AT_ONCE] @ gallery.T - less)
    asking, found = torch.from_numpy(links).to(gallery.device).T
    right = _counts((queries[asking] * gallery[found]).sum(dim=1) - less[found])
    wrong = (every - right).clamp(min=0)  # rounded otherwise, a score may fall into the next bin
    gain = FITTING * right / right.sum() - (1 - FITTING) * wrong / wrong.sum().clamp(min=1)
    above = gain.flip(0).cumsum(0)
    best = int(above.argmax())
    return HIGHEST - (best + 1) * (HIGHEST - LOWEST) / BINS if above[best] > 0 else None


def _counts(scores: Tensor) -> Tensor:
    return torch.histc(scores, BINS, LOWEST, HIGHEST).double().cpu()
