"""Classification by the nearest class, where a class is known by its prompts alone.

Place in the flow: embeddings of items and of prompts -> embeddings of classes -> ZeroShot -> zero_shot_report.py.
Not here: prompts (fusemix/datasets/prompts.py).

Source: a class is the mean of the embeddings of its prompts, as in Radford et al., "Learning Transferable Visual Models
From Natural Language Supervision", arXiv:2103.00020, section 3.1.4.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from fusemix.retrieval.average_precision import (
    average_precision,
    chance_average_precision,
    order_of,
    resampled_average_precision,
)
from fusemix.retrieval.intervals import drawn_times
from fusemix.retrieval.ranks import TIE_TOLERANCE

TOP = 5
SCORES_AT_ONCE = 1 << 25
"""Scores held in memory at a time (128 MiB in float32)."""
MOST_DRAWS, FEWEST_DRAWS = 1000, 200
DRAWN_SCORES = 10_000_000_000
"""Items times classes times draws that intervals may cost: 1,000 draws of ESC-50, 200 of ImageNet's validation."""
DEFINITIONS = {
    "top_1": "Share of items whose own class has the highest cosine of all classes.",
    "top_5": f"Share of items whose own class is among the {TOP} with the highest cosines.",
    "balanced_top_1": "Mean over classes of the share of their items whose own class has the highest cosine.",
    "map": "Mean over classes of the average precision of all items, ranked by their cosine with the class.",
    "class": "A class is the mean of the unit embeddings of its prompts, scaled to unit length.",
    "ties": f"Cosines that differ by at most {TIE_TOLERANCE:g} tie. An item's own class that ties with others ranks "
    "after them, and so does an item of a class that ties with items of others.",
    "intervals": "95 % by the bootstrap over items: percentiles of the draws, moved so that their mean is the figure, "
    "since an item that is drawn twice raises average precision. They say how much other items of the same classes "
    "would change a figure, not other classes or templates.",
    "chance": "What random scores give on average.",
    "classes_without_items": "They take part as wrong answers, and are left out of means over classes.",
}


class Nearest(NamedTuple):
    """How each item stands to its own class.

    Attributes:
        ranks: of its own class, from 1; other classes with the same score come first.
        tied: whether another class has the same score as its own.
        rivals: the best class that is not its own.
        scores: cosine with its own class.
    """

    ranks: Int64[np.ndarray, " items"]
    tied: Bool[np.ndarray, " items"]
    rivals: Int64[np.ndarray, " items"]
    scores: Float[np.ndarray, " items"]


class ZeroShot(NamedTuple):
    """Everything measured.

    Attributes:
        figures: metric -> value, a fraction.
        intervals: metric -> 95 % interval.
        chance: metric -> what random scores give.
        counts: items, classes, classes without items, tied items, draws.
        num_items: of each class.
        accuracy: share of each class's items that are nearest to it; NaN without items.
        precision: average precision of each class; NaN without items.
        confusions: (own class, class taken for it, items), most frequent first.
        nearest: how each item stands to its own class.
    """

    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    chance: dict[str, float]
    counts: dict[str, int]
    num_items: Int64[np.ndarray, " classes"]
    accuracy: Float64[np.ndarray, " classes"]
    precision: Float64[np.ndarray, " classes"]
    confusions: list[tuple[int, int, int]]
    nearest: Nearest


def class_embeddings(
    prompts: Float[Tensor, "prompts dim"], class_of_prompt: Int64[np.ndarray, " prompts"], num_classes: int
) -> Float[Tensor, "classes dim"]:
    """One embedding a class, of unit length: the mean of the unit embeddings of its prompts, scaled.

    Args:
        prompts: embeddings, of any length.
        class_of_prompt: in [0, num_classes).
        num_classes: each has one prompt at least.

    Raises:
        ValueError: a class has no prompt, or its prompts cancel out.
    """
    owners = torch.from_numpy(class_of_prompt)
    sums = torch.zeros(num_classes, prompts.shape[1]).index_add(0, owners, F.normalize(prompts.float(), dim=-1))
    if not (sums.norm(dim=-1) > TIE_TOLERANCE).all():
        raise ValueError("a class has no prompt, or its prompts cancel out")
    return F.normalize(sums, dim=-1)


def nearest_classes(
    items: Float[Tensor, "items dim"], classes: Float[Tensor, "classes dim"], labels: Int64[np.ndarray, " items"]
) -> Nearest:
    """Rank all classes for each item, in blocks of items.

    Args:
        items, classes: unit length, float32; two classes at least.
        labels: class of each item.

    Raises:
        ValueError: embeddings hold NaN, which compares as false and would rank first.
    """
    if not (items.isfinite().all() and classes.isfinite().all()):
        raise ValueError("embeddings hold NaN or infinity")
    parts = []
    step = max(1, SCORES_AT_ONCE // len(classes))
    for at in range(0, len(items), step):
        scores = items[at : at + step] @ classes.T
        own_class = torch.from_numpy(labels[at : at + step])[:, None]
        own = scores.gather(1, own_class)
        scores.scatter_(1, own_class, -torch.inf)
        ahead = (scores >= own - TIE_TOLERANCE).sum(dim=1)
        tied = ahead > (scores > own + TIE_TOLERANCE).sum(dim=1)
        parts.append((ahead.numpy() + 1, tied.numpy(), scores.argmax(dim=1).numpy(), own[:, 0].numpy()))
    return Nearest(*map(np.concatenate, zip(*parts, strict=True)))


def measure_classes(
    items: Float[Tensor, "items dim"],
    classes: Float[Tensor, "classes dim"],
    labels: Int64[np.ndarray, " items"],
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> ZeroShot:
    """Classify items by cosine, and sum up.

    Never holds more scores than a block of items by all classes, or all items by a block of classes.

    Args:
        items, classes: unit length, float32; two classes at least.
        labels: class of each item.
        advance: is told how many classes were just measured.
    """
    nearest = nearest_classes(items, classes, labels)
    hits, num_items = nearest.ranks == 1, np.bincount(labels, minlength=len(classes))
    weights = drawn_weights(len(items), number_of_draws(len(items), len(classes)))
    found = _measure_each(items, classes, labels, hits, weights, advance)
    figures = {
        "top_1": float(hits.mean()),
        "top_5": float((nearest.ranks <= TOP).mean()),
        "balanced_top_1": float(np.nanmean(found.accuracy)),
        "map": float(np.nanmean(found.precision)),
    }
    draws = {
        "top_1": _weighted_share(hits, weights),
        "top_5": _weighted_share(nearest.ranks <= TOP, weights),
        "balanced_top_1": found.drawn_accuracy,
        "map": found.drawn_precision,
    }
    counts = {
        "items": len(items),
        "classes": len(classes),
        "classes_without_items": int((num_items == 0).sum()),
        "tied_items": int(nearest.tied.sum()),
        "draws": weights.shape[1],
    }
    intervals = {name: _interval(figures[name], values) for name, values in draws.items()}
    pairs = confusions(labels, nearest)
    return ZeroShot(
        figures,
        intervals,
        chance_figures(num_items),
        counts,
        num_items,
        found.accuracy,
        found.precision,
        pairs,
        nearest,
    )


class _Each(NamedTuple):
    """Figures of each class, and their means over classes in each draw."""

    accuracy: Float64[np.ndarray, " classes"]
    precision: Float64[np.ndarray, " classes"]
    drawn_accuracy: Float64[np.ndarray, " draws"]
    drawn_precision: Float64[np.ndarray, " draws"]


def _measure_each(
    items: Float[Tensor, "items dim"],
    classes: Float[Tensor, "classes dim"],
    labels: Int64[np.ndarray, " items"],
    hits: Bool[np.ndarray, " items"],
    weights: UInt8[np.ndarray, "items draws"],
    advance: Callable[[int], None],
) -> _Each:
    accuracy, precision = np.full((2, len(classes)), np.nan)
    drawn_accuracy, drawn_precision = [], []
    step = max(1, SCORES_AT_ONCE // len(items))
    for at in range(0, len(classes), step):
        for label, scores in enumerate((classes[at : at + step] @ items.T).numpy(), start=at):
            mine = labels == label
            if mine.any():
                order = order_of(scores, mine)
                accuracy[label], precision[label] = hits[mine].mean(), average_precision(order)
                with np.errstate(invalid="ignore"):  # a draw without an item of the class
                    drawn_accuracy.append(weights[mine & hits].sum(axis=0) / weights[mine].sum(axis=0))
                drawn_precision.append(resampled_average_precision(order, weights))
            advance(1)
    return _Each(accuracy, precision, np.nanmean(drawn_accuracy, axis=0), np.nanmean(drawn_precision, axis=0))


def confusions(labels: Int64[np.ndarray, " items"], nearest: Nearest) -> list[tuple[int, int, int]]:
    """(own class, class that was nearer or as near, number of items), most frequent first, then in order of classes."""
    wrong = nearest.ranks > 1
    pairs = Counter(zip(labels[wrong].tolist(), nearest.rivals[wrong].tolist(), strict=True))
    return sorted(((own, other, count) for (own, other), count in pairs.items()), key=lambda found: (-found[2], found))


def chance_figures(num_items: Int64[np.ndarray, " classes"]) -> dict[str, float]:
    """What random scores give on average.

    Args:
        num_items: of each class; of one at least.
    """
    total, count = int(num_items.sum()), len(num_items)
    precisions = [chance_average_precision(int(here), total) for here in num_items if here]
    top_1, top_5 = 1 / count, min(1.0, TOP / count)
    return {"top_1": top_1, "top_5": top_5, "balanced_top_1": top_1, "map": float(np.mean(precisions))}


def number_of_draws(num_items: int, num_classes: int) -> int:
    """Draws of the bootstrap: fewer where one costs much, since average precision is summed up for each."""
    return int(np.clip(DRAWN_SCORES // (num_items * num_classes), FEWEST_DRAWS, MOST_DRAWS))


def drawn_weights(num_items: int, num_draws: int, seed: int = 0) -> UInt8[np.ndarray, "items draws"]:
    """How often each item occurs in each of some draws of as many items with replacement."""
    generator = np.random.default_rng(seed)
    weights = np.empty((num_items, num_draws), dtype=np.uint8)
    done = 0
    for times in drawn_times(num_items, num_draws, generator):
        weights[:, done : done + len(times)] = times.T
        done += len(times)
    return weights


def _weighted_share(
    hits: Bool[np.ndarray, " items"], weights: UInt8[np.ndarray, "items draws"]
) -> Float64[np.ndarray, " draws"]:
    return weights[hits].sum(axis=0, dtype=np.int64) / len(hits)


def _interval(figure: float, values: Float64[np.ndarray, " draws"]) -> tuple[float, float]:
    low, high = np.clip(np.percentile(values, [2.5, 97.5]) + figure - values.mean(), 0, 1).tolist()
    return low, high
