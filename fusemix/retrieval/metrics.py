"""Retrieval figures from ranks, with the definition of each.

Place in the flow: ranks -> figures named `<query>_to_<gallery>/<metric>`, as fractions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from scipy.special import gammaln
from torch import Tensor

from fusemix.retrieval.ranks import TIE_TOLERANCE, Ranks, linked_ranks

DEFINITIONS = {
    "recall_at_k": "Share of queries with at least one linked item among the first k of the gallery (a hit rate, the "
    "number that CLIP-style papers call R@k), as a fraction.",
    "median_rank": "Median over queries of the rank of the first linked item, counted from 1.",
    "mean_rank": "Mean over queries of the rank of the first linked item, counted from 1.",
    "mean_recall": "Mean of all recall figures of both directions.",
    "ties": f"Items whose scores differ by at most {TIE_TOLERANCE:g} tie; a linked item that ties with unlinked ones "
    "ranks after them.",
    "items": "Every unique caption is one query and one gallery item, however often it was written; a query may have "
    "several linked items.",
    "scores": "Cosine of the embeddings, in float32; exact search, no approximation.",
    "chance": "What a random order of the gallery gives on average.",
}


class Direction(NamedTuple):
    """Everything measured in one direction.

    Attributes:
        name: such as `text_to_image`.
        figures: metric -> value.
        chance: metric -> what a random order gives.
        counts: queries, gallery items, links, tied queries.
        ranks: behind the figures.
    """

    name: str
    figures: dict[str, float]
    chance: dict[str, float]
    counts: dict[str, int]
    ranks: Ranks


def recall_at_k(ranks: Int64[np.ndarray, " queries"], k: int) -> float:
    """Share of queries whose first linked item is among the first k; a hit rate in [0, 1].

    It is not the share of all linked items found: with five captions a picture, image-to-text
    recall at 1 can be 1.0 here and would be at most 0.2 there.

    Args:
        ranks: of the first linked item, from 1.
        k: how deep to look, from 1.
    """
    return float((ranks <= k).mean())


def chance_recall_at_k(num_links: Int64[np.ndarray, " queries"], num_items: int, k: int) -> float:
    """Expected recall of a random order: one minus the chance that k draws miss all linked items.

    Args:
        num_links: linked items of each query.
        num_items: size of the gallery.
        k: draws without replacement, at most `num_items`.
    """
    misses = np.exp(_log_choose(num_items - num_links, k) - _log_choose(np.full_like(num_links, num_items), k))
    return float((1 - misses).mean())


def _log_choose(n: Int64[np.ndarray, " queries"], k: int) -> Float[np.ndarray, " queries"]:
    possible = n >= k
    safe = np.where(possible, n, k).astype(np.float64)
    return np.where(possible, gammaln(safe + 1) - gammaln(k + 1) - gammaln(safe - k + 1), -np.inf)


def measure_direction(
    name: str,
    query: Float[Tensor, "queries dim"],
    gallery: Float[Tensor, "items dim"],
    links: Int64[np.ndarray, "links 2"],
    ks: Sequence[int],
) -> Direction:
    """Rank the gallery for every query that has links, and sum up.

    Args:
        name: of the direction, query first.
        query, gallery: unit length, float32.
        links: (query position, gallery position).
        ks: depths of recall, each at most the size of the gallery.
    """
    ranks = linked_ranks(query, gallery, links)
    figures = {f"recall_at_{k}": recall_at_k(ranks.ranks, k) for k in ks}
    figures |= {"median_rank": float(np.median(ranks.ranks)), "mean_rank": float(ranks.ranks.mean())}
    chance = {f"recall_at_{k}": chance_recall_at_k(ranks.num_links, len(gallery), k) for k in ks}
    counts = {
        "queries": len(ranks.queries),
        "gallery": len(gallery),
        "links": len(links),
        "tied_queries": int(ranks.tied.sum()),
    }
    return Direction(name, figures, chance, counts, ranks)


def measure(
    left: Float[Tensor, "left dim"],
    right: Float[Tensor, "right dim"],
    links: Int64[np.ndarray, "links 2"],
    modalities: tuple[str, str],
    ks: Sequence[int],
) -> tuple[Direction, Direction]:
    """Both directions: left to right, then right to left.

    Args:
        left, right: embeddings of the two sides, unit length.
        links: (left position, right position).
        modalities: names of the sides.
        ks: depths of recall.
    """
    one, other = modalities
    return (
        measure_direction(f"{one}_to_{other}", left, right, links, ks),
        measure_direction(f"{other}_to_{one}", right, left, links[:, ::-1].copy(), ks),
    )


def flat(directions: Sequence[Direction], field: str = "figures") -> dict[str, float]:
    """`<direction>/<metric>` -> value."""
    return {f"{d.name}/{metric}": value for d in directions for metric, value in getattr(d, field).items()}


def mean_recall(directions: Sequence[Direction]) -> float:
    """Mean of all recall figures of all directions."""
    recalls = [value for key, value in flat(directions).items() if "/recall_at_" in key]
    return float(np.mean(recalls))
