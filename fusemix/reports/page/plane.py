"""Both modalities on one plane, by principal components.

Place in the flow: Points -> Plane -> the map of the page.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fusemix.reports.page.data import Points


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
