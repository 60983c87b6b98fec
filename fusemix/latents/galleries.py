"""The items of a validation or evaluation set, numbered from zero.

Place in the flow: LatentSet -> Gallery, and the SideItems of its two sides -> retrieval.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from fusemix.latents.distinct import distinct_rows
from fusemix.latents.item_tables import LABELS
from fusemix.latents.sets import LatentSet, Side

MOST_CHOSEN_AMONG = 50_000
"""Items of a side that an epoch is chosen on: among more, the comparisons would take longer than the epoch."""


@dataclass(frozen=True)
class SideItems:
    """The items of one side that take part; a position counts them, a row counts the items of the set.

    Attributes:
        side: of a latent set.
        rows: of these items, by position.
    """

    side: Side
    rows: Int64[np.ndarray, " items"]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def modality(self) -> str:
        """Of all of them."""
        return self.side.modality

    @property
    def ids(self) -> list[str]:
        """By position."""
        return self.side.table["id"].take(self.rows).to_pylist()

    def id(self, position: int) -> str:
        """Of one of them."""
        return self.side.table["id"][int(self.rows[position])].as_py()

    def label(self, position: int) -> str:
        """What one of them is, for people; empty where the item table does not say."""
        table, row = self.side.table, int(self.rows[position])
        return next(
            (words for name in LABELS if name in table.column_names and (words := table[name][row].as_py())), ""
        )

    def latents(self, start: int = 0, stop: int | None = None) -> Float[np.ndarray, "some dim"]:
        """Of the positions from `start` up to `stop`, gathered in one call."""
        return self.side.take(self.rows[start:stop])


class Gallery(NamedTuple):
    """The items of a set that take part, and their links, renumbered to them.

    Attributes:
        left_rows, right_rows: rows of the latent set that take part.
        links: pairs of positions in these.
        times: how often each pair was written; None: once.
    """

    left_rows: Int64[np.ndarray, " left"]
    right_rows: Int64[np.ndarray, " right"]
    links: Int64[np.ndarray, "links 2"]
    times: Int64[np.ndarray, " links"] | None = None

    @property
    def num_captions(self) -> int:
        """Links, each as often as it was written."""
        return len(self.links) if self.times is None else int(self.times.sum())

    @property
    def rows(self) -> tuple[Int64[np.ndarray, " left"], Int64[np.ndarray, " right"]]:
        """Of the left, then of the right."""
        return self.left_rows, self.right_rows

    def of(self, latent_set: LatentSet) -> tuple[SideItems, SideItems]:
        """Its items on the left and on the right, with latents that a set was opened with."""
        return SideItems(latent_set.left, self.left_rows), SideItems(latent_set.right, self.right_rows)


def gallery_of(latent_set: LatentSet, links: Int64[np.ndarray, "links 2"] | None = None) -> Gallery:
    """All items with latents, or, given links, only the items that these name, each pair counted once."""
    times = None
    if links is None:
        rows = [np.flatnonzero(side.valid) for side in latent_set.sides]
        links, times = latent_set.link_table
    else:
        rows = [distinct_rows(links[:, side]) for side in (0, 1)]
    renumbered = np.column_stack([np.searchsorted(rows[side], links[:, side]) for side in (0, 1)])
    return Gallery(rows[0], rows[1], renumbered, times)


def sampled(gallery: Gallery, most: int, seed: int) -> Gallery:
    """The gallery itself, or left items of it at random, each with all of its links, so that no side has more items.

    Args:
        gallery: to sample from.
        most: items of either side. A left item that has more links than that is taken all the same, alone.
        seed: of the choice.
    """
    if max(map(len, gallery.rows)) <= most:
        return gallery
    lefts, num_links = np.unique(gallery.links[:, 0], return_counts=True)
    order = np.random.default_rng(seed).permutation(len(lefts))
    enough = max(1, int(np.searchsorted(np.cumsum(num_links[order]), most, side="right")))
    taken = np.isin(gallery.links[:, 0], lefts[order[:enough]])
    links, times = gallery.links[taken], gallery.times
    kept = [distinct_rows(links[:, side]) for side in (0, 1)]
    renumbered = np.column_stack([np.searchsorted(kept[side], links[:, side]) for side in (0, 1)])
    rows = [of[some] for of, some in zip(gallery.rows, kept, strict=True)]
    return Gallery(rows[0], rows[1], renumbered, None if times is None else times[taken])


def each_caption(gallery: Gallery) -> Gallery:
    """The gallery with every caption as often as it was written, and one entry of a text that nobody wrote.

    Benchmarks count captions so, and a latent set holds each text once. Entries of one text are neighbours.
    """
    order = np.lexsort((gallery.links[:, 0], gallery.links[:, 1]))
    written = order if gallery.times is None else np.repeat(order, gallery.times[order])
    unlinked = np.setdiff1d(np.arange(len(gallery.right_rows)), gallery.links[:, 1])
    entries = np.sort(np.r_[gallery.links[written, 1], unlinked])
    places = np.flatnonzero(~np.isin(entries, unlinked))
    links = np.column_stack([gallery.links[written, 0], places])
    return Gallery(gallery.left_rows, gallery.right_rows[entries], links)
