"""At which rank each query finds the first of its linked items; exact, in bounded memory.

Place in the flow: embeddings and links -> ranks -> metrics.
Not here: what stands at the top ranks (index.py).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

TIE_TOLERANCE = 1e-6
"""Cosines closer than this count as equal: float32 sums of some hundred products differ by as much
between two orders of addition, and so between two runs, libraries or batch shapes."""
SCORES_AT_ONCE = 1 << 25
"""Scores held in memory at a time (128 MiB in float32)."""


class Ranks(NamedTuple):
    """One entry a query that has links.

    Attributes:
        queries: positions of these queries.
        ranks: of the best linked item, from 1; unlinked items with the same score come first.
        tied: whether an unlinked item has the same score as the best linked one.
        num_links: linked items of the query.
    """

    queries: Int64[np.ndarray, " queries"]
    ranks: Int64[np.ndarray, " queries"]
    tied: Bool[np.ndarray, " queries"]
    num_links: Int64[np.ndarray, " queries"]


def linked_ranks(
    query: Float[Tensor, "queries dim"], gallery: Float[Tensor, "items dim"], links: Int64[np.ndarray, "links 2"]
) -> Ranks:
    """Count, for every query with links, the unlinked items that score at least as high.

    Args:
        query, gallery: unit length, float32.
        links: (query position, gallery position), each pair once.

    Raises:
        ValueError: there is no link, or embeddings hold NaN, which compare as false and would rank first.
    """
    if len(links) == 0:
        raise ValueError("no query has a link")
    if not (query.isfinite().all() and gallery.isfinite().all()):
        raise ValueError("embeddings hold NaN or infinity")
    links = links[np.lexsort((links[:, 1], links[:, 0]))]
    queries, starts, counts = np.unique(links[:, 0], return_index=True, return_counts=True)
    step = max(1, SCORES_AT_ONCE // len(gallery))
    ranks, tied = [], []
    for at in range(0, len(queries), step):
        chosen = slice(at, at + step)
        first = starts[at]
        last = starts[at + step] if at + step < len(queries) else len(links)
        rows = np.repeat(np.arange(len(counts[chosen])), counts[chosen])
        here = _rank_some(
            query[torch.from_numpy(queries[chosen])] @ gallery.T,
            torch.from_numpy(rows).to(query.device),
            torch.from_numpy(links[first:last, 1]).to(query.device),
        )
        ranks.append(here[0].cpu().numpy())
        tied.append(here[1].cpu().numpy())
    return Ranks(queries, np.concatenate(ranks), np.concatenate(tied), counts)


def _rank_some(
    scores: Float[Tensor, "queries items"], rows: Int64[Tensor, " links"], columns: Int64[Tensor, " links"]
) -> tuple[Int64[Tensor, " queries"], Bool[Tensor, " queries"]]:
    linked = scores[rows, columns]
    best = torch.full((len(scores),), -torch.inf, device=scores.device)
    best = best.scatter_reduce(0, rows, linked, "amax")
    not_worse, better = best - TIE_TOLERANCE, best + TIE_TOLERANCE
    num_linked = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
    num_linked = num_linked.index_add(0, rows, (linked >= not_worse[rows]).long())
    ahead = (scores >= not_worse[:, None]).sum(dim=1) - num_linked
    tied = ahead > (scores > better[:, None]).sum(dim=1)
    return ahead + 1, tied
