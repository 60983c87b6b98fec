"""One evaluation, whole or in folds: measure, search, correct.

Place in the flow: embeddings and links -> folds -> metrics, FAISS, hubness -> both directions, what was found, figures.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from torch import Tensor

from fusemix.retrieval.counting import ALONE, Share
from fusemix.retrieval.hubness import inverted_softmax, query_bank
from fusemix.retrieval.index import Top, search_exactly
from fusemix.retrieval.metrics import Direction, figures_of, flat, measure, values_of, with_sums
from fusemix.retrieval.ranks import NOWHERE, Ranks, ranks_one_way

Embeddings = tuple[Float32[Tensor, "left dim"], Float32[Tensor, "right dim"]]
"""Of the left and of the right side, unit length."""


class Fold(NamedTuple):
    """A part of an evaluation that is measured by itself.

    Attributes:
        left, right: positions of its items.
        links: pairs of positions in these.
    """

    left: Int64[np.ndarray, " left"]
    right: Int64[np.ndarray, " right"]
    links: Int64[np.ndarray, "links 2"]

    def of(self, embeddings: Embeddings) -> tuple[Float32[Tensor, "fold_left dim"], Float32[Tensor, "fold_right dim"]]:
        """The embeddings of its items."""
        left, right = embeddings
        if (len(self.left), len(self.right)) == (len(left), len(right)):
            return embeddings
        return left[self.left], right[self.right]


def folds_of(sizes: tuple[int, int], links: Int64[np.ndarray, "links 2"], count: int) -> list[Fold]:
    """Equal parts of the left items, in order, each with the right items that are linked to them.

    Args:
        sizes: numbers of items of the left and of the right.
        links: (left position, right position).
        count: 1 gives one fold of everything, right items without link included.
    """
    if count == 1:
        return [Fold(np.arange(sizes[0]), np.arange(sizes[1]), links)]
    folds = []
    for left in np.array_split(np.arange(sizes[0]), count):
        here = links[np.isin(links[:, 0], left)]
        right = np.unique(here[:, 1])
        places = [np.searchsorted(side, here[:, column]) for column, side in enumerate((left, right))]
        folds.append(Fold(left, right, np.column_stack(places)))
    return folds


def measure_folds(
    embeddings: Embeddings,
    folds: Sequence[Fold],
    modalities: tuple[str, str],
    ks: Sequence[int],
    *,
    share: Share = ALONE,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Direction, Direction]:
    """Both directions; figures are means over folds, and everything that belongs to a query is put together.

    Args:
        embeddings: of all items.
        folds: their parts.
        modalities: names of the sides.
        ks: depths of recall.
        share, advance: see `ranks.ranks_both_ways`.
    """
    parts = [measure(*fold.of(embeddings), fold.links, modalities, ks, share=share, advance=advance) for fold in folds]
    left, right = ([getattr(fold, side) for fold in folds] for side in ("left", "right"))
    return _together([one for one, _ in parts], left, right), _together([other for _, other in parts], right, left)


def _together(
    parts: Sequence[Direction],
    asked: Sequence[Int64[np.ndarray, " _items"]],
    given: Sequence[Int64[np.ndarray, " _items"]],
) -> Direction:
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    values = {metric: np.concatenate([part.values[metric] for part in parts]) for metric in first.values}
    return Direction(
        first.name,
        values,
        _means([part.figures for part in parts]),
        _means([part.chance for part in parts]),
        {
            key: sum(part.counts[key] for part in parts) // (len(parts) if key == "gallery" else 1)
            for key in first.counts
        },
        _ranks_together([part.ranks for part in parts], asked, given),
    )


def _ranks_together(
    parts: Sequence[Ranks], asked: Sequence[Int64[np.ndarray, " _items"]], given: Sequence[Int64[np.ndarray, " _items"]]
) -> Ranks:
    width = max(part.linked.shape[1] for part in parts)
    linked = [np.pad(p.linked, ((0, 0), (0, width - p.linked.shape[1])), constant_values=NOWHERE) for p in parts]
    queries = [place[part.queries] for part, place in zip(parts, asked, strict=True)]
    first = [place[part.first] for part, place in zip(parts, given, strict=True)]
    tied, num_links, best = (
        np.concatenate(field) for field in zip(*((p.tied, p.num_links, p.best) for p in parts), strict=True)
    )
    return Ranks(np.concatenate(queries), np.concatenate(linked), tied, num_links, best, np.concatenate(first))


def _means(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([each[key] for each in figures])) for key in figures[0]}


def search_folds(embeddings: Embeddings, folds: Sequence[Fold], *, k: int, use_gpu: bool) -> tuple[Top, Top]:
    """What stands at the top for each query of both directions, in the order of their ranks.

    Args:
        embeddings: of all items.
        folds: their parts; each is searched by itself.
        k: items a query, at most as many as the smallest gallery has.
        use_gpu: search on a GPU where FAISS works there.
    """
    ways: tuple[list[Top], list[Top]] = ([], [])
    for fold in folds:
        sides, places = fold.of(embeddings), (fold.left, fold.right)
        for way, (asked, given) in zip(ways, ((0, 1), (1, 0)), strict=True):
            queries, gallery = sides[asked].numpy(), sides[given].numpy()
            top = search_exactly(queries, gallery, k, rows=np.unique(fold.links[:, asked]), use_gpu=use_gpu)
            way.append(Top(top.scores, places[given][top.positions]))
    one, other = (Top(*(np.concatenate(field) for field in zip(*way, strict=True))) for way in ways)
    return one, other


def corrected_figures(
    embeddings: Embeddings,
    folds: Sequence[Fold],
    modalities: tuple[str, str],
    ks: Sequence[int],
    banks: tuple[Tensor, Tensor] | None = None,
) -> dict[str, float]:
    """Figures of both directions with a correction of hubs; see `hubness.DEFINITIONS`.

    Args:
        embeddings: of all items.
        folds: their parts.
        modalities: names of the sides.
        ks: depths of recall.
        banks: queries of the training set, of the left and of the right; None for the inverted softmax.
    """
    return _means([with_sums(dict(_corrected(fold, embeddings, modalities, ks, banks))) for fold in folds])


def _corrected(
    fold: Fold,
    embeddings: Embeddings,
    modalities: tuple[str, str],
    ks: Sequence[int],
    banks: tuple[Tensor, Tensor] | None,
) -> Iterator[tuple[str, float]]:
    sides = fold.of(embeddings)
    for asked, given in ((0, 1), (1, 0)):
        pair = sides[asked], sides[given]
        shift = query_bank(*pair, banks[asked]) if banks else inverted_softmax(*pair)
        ranks = ranks_one_way(*pair, fold.links[:, [asked, given]], shift)
        name = f"{modalities[asked]}_to_{modalities[given]}"
        for metric, value in figures_of(ranks, values_of(ranks, ks)).items():
            yield f"{name}/{metric}", value


def plain_figures(
    embeddings: Embeddings, folds: Sequence[Fold], modalities: tuple[str, str], ks: Sequence[int]
) -> dict[str, float]:
    """Figures of both directions and nothing else, for what stands beside a model."""
    return with_sums(flat(measure_folds(embeddings, folds, modalities, ks)))
