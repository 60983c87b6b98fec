"""The items of a validation or evaluation set, numbered from nought.

Place in the flow: LatentSet -> Gallery -> retrieval.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from fusemix.latents.sets import LatentSet


class Gallery(NamedTuple):
    """The items of a set that take part, and their links, renumbered to them.

    Attributes:
        left_rows, right_rows: rows of the latent set that take part.
        links: pairs of positions in these.
    """

    left_rows: Int64[np.ndarray, " left"]
    right_rows: Int64[np.ndarray, " right"]
    links: Int64[np.ndarray, "links 2"]

    @property
    def rows(self) -> tuple[Int64[np.ndarray, " left"], Int64[np.ndarray, " right"]]:
        """Of the left, then of the right."""
        return self.left_rows, self.right_rows


def gallery_of(latent_set: LatentSet, links: Int64[np.ndarray, "links 2"] | None = None) -> Gallery:
    """All items with latents, or, given links, only the items that these name."""
    if links is None:
        rows = [np.flatnonzero(side.valid) for side in latent_set.sides]
        links = latent_set.links
    else:
        rows = [np.unique(links[:, side]) for side in (0, 1)]
    renumbered = np.column_stack([np.searchsorted(rows[side], links[:, side]) for side in (0, 1)])
    return Gallery(rows[0], rows[1], renumbered)


def each_caption(gallery: Gallery) -> Gallery:
    """The gallery with every caption as often as it was written: one entry a link, and one where there is none.

    Benchmarks count captions so, and a latent set holds each text once. Entries of one text are neighbours.
    """
    order = np.lexsort((gallery.links[:, 0], gallery.links[:, 1]))
    times = np.maximum(np.bincount(gallery.links[:, 1], minlength=len(gallery.right_rows)), 1)
    entries = np.repeat(np.arange(len(gallery.right_rows)), times)
    is_linked = np.isin(entries, gallery.links[:, 1])
    links = np.column_stack([gallery.links[order, 0], np.flatnonzero(is_linked)])
    return Gallery(gallery.left_rows, gallery.right_rows[entries], links)
