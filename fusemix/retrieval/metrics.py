"""Retrieval figures from ranks, with the definition of each.

Place in the flow: ranks -> one value a query -> figures named `<query>_to_<gallery>/<metric>`, as fractions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from fusemix.retrieval.ranks import DEPTH, TIE_TOLERANCE, Ranks, ranks_both_ways
from fusemix.retrieval.tiles import ALONE, Share

DEFINITIONS = {
    "recall_at_k": "Share of queries with at least one linked item among the first k of the gallery (a hit rate, the "
    "number that CLIP-style papers call R@k), as a fraction.",
    "mrr": "Mean reciprocal rank: mean over queries of 1 / rank of the first linked item.",
    "map_at_10": "Mean over queries of the average precision within the first 10: the sum, over linked items at ranks "
    "up to 10, of the precision at their rank, divided by the number of linked items or by 10, whichever is less.",
    "ndcg_at_10": "Mean over queries of the discounted cumulative gain of the first 10 (each linked item at rank r "
    "counts 1 / log2(1 + r)), divided by that of the best possible order.",
    "median_rank": "Median over queries of the rank of the first linked item, counted from 1.",
    "mean_rank": "Mean over queries of the rank of the first linked item, counted from 1.",
    "recall_sum": "Sum of all recall figures of both directions (what papers call rsum); with three depths at most 6, "
    "in tables 600.",
    "mean_recall": "Mean of all recall figures of both directions.",
    "ties": f"Items whose scores differ by at most {TIE_TOLERANCE:g} tie; a linked item that ties with unlinked ones "
    "ranks after them.",
    "items": "In a benchmark that is known by name, a caption is a query and a gallery item as often as it was written "
    "for different items, each linked with its own, as in published figures; the same words of another item are "
    "unlinked and tie. In any other set, every unique caption is one of each, and a query may have several linked "
    "items. Items without any link are in the gallery, but ask nothing.",
    "merged": "Every unique caption is one query, linked with all items that it was written for, and one gallery item. "
    "Higher than the published way of counting where captions repeat.",
    "scores": "Cosine of the embeddings, in float32; exact, no approximation.",
    "chance": "What a random order of the gallery gives on average.",
}


class Direction(NamedTuple):
    """Everything measured in one direction.

    Attributes:
        name: such as `text_to_image`.
        values: metric -> one value a query; their mean is the figure.
        figures: metric -> value.
        chance: metric -> what a random order gives.
        counts: queries, gallery items, links, tied queries, items that ask nothing.
        ranks: behind the figures.
    """

    name: str
    values: dict[str, Float[np.ndarray, " queries"]]
    figures: dict[str, float]
    chance: dict[str, float]
    counts: dict[str, int]
    ranks: Ranks


def values_of(ranks: Ranks, ks: Sequence[int]) -> dict[str, Float[np.ndarray, " queries"]]:
    """One value a query, for each metric that is a mean over queries; see DEFINITIONS.

    Args:
        ranks: of one direction.
        ks: depths of recall, from 1.
    """
    first = ranks.ranks
    hits = {f"recall_at_{k}": (first <= k).astype(np.float64) for k in ks}
    return {
        **hits,
        "mrr": 1 / first,
        "map_at_10": average_precision(ranks),
        "ndcg_at_10": normalised_gain(ranks),
        "mean_rank": first.astype(np.float64),
    }


def average_precision(ranks: Ranks) -> Float[np.ndarray, " queries"]:
    """Average precision within the first 10, of each query; see DEFINITIONS."""
    found = ranks.linked <= DEPTH
    precision = np.arange(1, found.shape[1] + 1) / ranks.linked
    return np.where(found, precision, 0).sum(axis=1) / np.minimum(ranks.num_links, DEPTH)


def normalised_gain(ranks: Ranks) -> Float[np.ndarray, " queries"]:
    """Normalised discounted cumulative gain of the first 10, of each query; see DEFINITIONS.

    Source: Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with gains of 0 and 1.
    """
    found = ranks.linked <= DEPTH
    gain = np.where(found, 1 / np.log2(1.0 + np.minimum(ranks.linked, DEPTH)), 0).sum(axis=1)
    ideal = np.cumsum(1 / np.log2(1.0 + np.arange(1, DEPTH + 1)))
    return gain / ideal[np.minimum(ranks.num_links, DEPTH) - 1]


def figures_of(ranks: Ranks, values: Mapping[str, Float[np.ndarray, " queries"]]) -> dict[str, float]:
    """Means over queries, and the median rank."""
    means = {metric: float(each.mean()) for metric, each in values.items()}
    return {**means, "median_rank": float(np.median(ranks.ranks))}


def chance_recall_at(
    num_links: Int64[np.ndarray, " queries"], num_items: int, depths: Int64[np.ndarray, " depths"]
) -> Float[np.ndarray, " depths"]:
    """Expected recall of a random order, exact: one minus the product of the chances that each draw misses.

    Args:
        num_links: linked items of each query, from 1.
        num_items: size of the gallery.
        depths: from 1 to `num_items`.
    """
    left = num_items - np.arange(num_items)  # items before each draw
    links, counts = np.unique(num_links, return_counts=True)
    misses = [np.cumprod(np.maximum(1 - number / left, 0))[depths - 1] for number in links]
    return 1 - np.average(misses, axis=0, weights=counts)


def direction_of(name: str, ranks: Ranks, sizes: tuple[int, int], ks: Sequence[int]) -> Direction:
    """Sum up one direction.

    Args:
        name: of the direction, query first.
        ranks: of its queries.
        sizes: numbers of items on the query's side and in the gallery.
        ks: depths of recall, each at most the size of the gallery.
    """
    values = values_of(ranks, ks)
    by_chance = chance_recall_at(ranks.num_links, sizes[1], np.array(ks)).tolist()
    chance = {f"recall_at_{k}": value for k, value in zip(ks, by_chance, strict=True)}
    counts = {
        "queries": len(ranks.queries),
        "gallery": sizes[1],
        "links": int(ranks.num_links.sum()),
        "tied_queries": int(ranks.tied.sum()),
        "without_link": sizes[0] - len(ranks.queries),
    }
    return Direction(name, values, figures_of(ranks, values), chance, counts, ranks)


def measure(
    left: Float32[Tensor, "left dim"],
    right: Float32[Tensor, "right dim"],
    links: Int64[np.ndarray, "links 2"],
    modalities: tuple[str, str],
    ks: Sequence[int],
    *,
    share: Share = ALONE,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Direction, Direction]:
    """Both directions: left to right, then right to left.

    Args:
        left, right: embeddings of the two sides, unit length.
        links: (left position, right position).
        modalities: names of the sides.
        ks: depths of recall.
        share, advance: see `ranks_both_ways`.
    """
    ranks = ranks_both_ways(left, right, links, share=share, advance=advance)
    return directions_of(ranks, modalities, (len(left), len(right)), ks)


def directions_of(
    ranks: tuple[Ranks, Ranks], modalities: tuple[str, str], sizes: tuple[int, int], ks: Sequence[int]
) -> tuple[Direction, Direction]:
    """Sum up both directions.

    Args:
        ranks: left to right, then right to left.
        modalities: names of the sides.
        sizes: their numbers of items.
        ks: depths of recall, each at most the smaller of them.
    """
    one, other = modalities
    return (
        direction_of(f"{one}_to_{other}", ranks[0], sizes, ks),
        direction_of(f"{other}_to_{one}", ranks[1], (sizes[1], sizes[0]), ks),
    )


def flat(directions: Sequence[Direction], field: str = "figures") -> dict[str, float]:
    """`<direction>/<metric>` -> value."""
    return {f"{d.name}/{metric}": value for d in directions for metric, value in getattr(d, field).items()}


def with_sums(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures of both directions, with the sum and the mean of all recalls."""
    recalls = [value for key, value in figures.items() if "/recall_at_" in key]
    return {**figures, "recall_sum": float(np.sum(recalls)), "mean_recall": float(np.mean(recalls))}
