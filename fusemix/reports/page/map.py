"""The map of both modalities: places in pixels, for the template.

Place in the flow: Points -> plane.py -> Map -> circles and lines of the page.
"""

from typing import NamedTuple

import numpy as np

from fusemix.reports.page.data import Points
from fusemix.reports.page.plane import on_plane

WIDTH = 540
LEAST_HEIGHT = 220
MARGIN = 10


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
