"""The map of both modalities: their principal components as places in pixels, for the template.

Place in the flow: Points -> Plane -> Map -> circles and lines of the page.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fusemix.reports.page.data import Points

WIDTH = 540
LEAST_HEIGHT = 220
MARGIN = 10


class Plane(NamedTuple):
    """Places of the points.

    Attributes:
        left, right: one row an item; both axes have the scale of the embeddings.
        shares: of the variance of all points that each axis holds, from 0 to 1.
    """

    left: Float[np.ndarray, "points 2"]
    right: Float[np.ndarray, "points 2"]
    shares: tuple[float, float]


def on_plane(points: Points) -> Plane:
    """Project all embeddings together on their two principal components.

    Rotating the embeddings changes nothing: each axis points to the side of its farthest point.

    Args:
        points: at least one pair.
    """
    together = np.concatenate([points.left, points.right]).astype(np.float64)
    vectors, lengths, _ = np.linalg.svd(together - together.mean(axis=0), full_matrices=False)
    places = np.zeros((len(together), 2))
    kept = min(2, len(lengths))
    places[:, :kept] = (vectors * lengths)[:, :kept]
    farthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    places *= np.where(farthest < 0, -1, 1)
    variances = np.zeros(2)
    variances[:kept] = lengths[:kept] ** 2
    first, second = (variances / max(float((lengths**2).sum()), np.finfo(np.float64).tiny)).tolist()
    return Plane(places[: len(points.left)], places[len(points.left) :], (first, second))


class Spot(NamedTuple):
    """Where an item stands, in pixels, and what a person reads there."""

    x: float
    y: float
    label: str


class Map(NamedTuple):
    """A drawing of linked pairs.

    Attributes:
        size: width and height in pixels.
        pairs: left and right item of each link.
        modalities: of the left and of the right items.
        shares: of the variance on each axis, in percent.
    """

    size: tuple[int, int]
    pairs: list[tuple[Spot, Spot]]
    modalities: tuple[str, str]
    shares: tuple[float, float]


def drawn_map(points: Points) -> Map:
    """Put the points on a sheet; both axes have one scale, so that distances can be compared.

    Args:
        points: at least one pair.
    """
    plane = on_plane(points)
    together = np.concatenate([plane.left, plane.right])
    low, high = together.min(axis=0), together.max(axis=0)
    spread = np.maximum(high - low, np.finfo(np.float32).eps)
    scale = float(min((WIDTH - 2 * MARGIN) / spread[0], (WIDTH - 2 * MARGIN) / spread[1]))
    height = max(LEAST_HEIGHT, round(spread[1] * scale) + 2 * MARGIN)
    middle = np.array([WIDTH / 2, height / 2])
    # Upwards on paper is downwards in SVG.
    spots = [((side - (low + high) / 2) * scale * [1, -1] + middle).tolist() for side in (plane.left, plane.right)]
    left, right = (
        [Spot(round(x, 1), round(y, 1), label) for (x, y), label in zip(side, labels, strict=True)]
        for side, labels in zip(spots, (points.left_labels, points.right_labels), strict=True)
    )
    one, other = plane.shares
    return Map((WIDTH, height), list(zip(left, right, strict=True)), points.modalities, (100 * one, 100 * other))
