"""What a page is made of: items as a person sees them, and the numbers behind the charts.

Place in the flow: results, contents and embeddings -> the tuples here -> render.py.
Not here: anything that computes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from fusemix.interfaces import Content


class Shown(NamedTuple):
    """An item as a person sees it.

    Attributes:
        id: of the item.
        content: picture, Waveform or text; the id again where the picture or sound cannot be read any more.
        label: caption or title, where the item table has one; else empty.
    """

    id: str
    content: Content
    label: str


class FoundItem(NamedTuple):
    """One gallery item in a result list, with its cosine and whether it is linked to the query."""

    item: Shown
    score: float
    is_linked: bool


class Card(NamedTuple):
    """One query with what it found.

    Attributes:
        kind: `best`, `typical` or `worst`.
        query: what was asked.
        rank: of the first linked item, from 1.
        found: the top of the list, best first.
        linked: the first linked item, where none is in `found`; else None.
    """

    kind: str
    query: Shown
    rank: int
    found: Sequence[FoundItem]
    linked: FoundItem | None = None

    @property
    def items(self) -> list[Shown]:
        """All that is shown: the query, what it found, and what it should have found."""
        return [self.query, *(found.item for found in [*self.found, *filter(None, [self.linked])])]


class DirectionPage(NamedTuple):
    """One direction.

    Attributes:
        name: such as `text_to_image`.
        ranks: of the first linked item of each query, from 1.
        num_links: linked items of each query.
        num_items: size of the gallery.
        cards: sample queries.
    """

    name: str
    ranks: Int64[np.ndarray, " queries"]
    num_links: Int64[np.ndarray, " queries"]
    num_items: int
    cards: Sequence[Card]


class PairScores(NamedTuple):
    """Cosines of samples of linked and of unlinked pairs."""

    linked: Float[np.ndarray, " linked"]
    unlinked: Float[np.ndarray, " unlinked"]


class Points(NamedTuple):
    """Embeddings of some linked pairs, unit length; row i of the left is linked to row i of the right.

    Attributes:
        left, right: of the two sides, equally many.
        left_labels, right_labels: what a person reads at each point.
        modalities: of the left and of the right side.
    """

    left: Float[np.ndarray, "points dim"]
    right: Float[np.ndarray, "points dim"]
    left_labels: Sequence[str]
    right_labels: Sequence[str]
    modalities: tuple[str, str]
