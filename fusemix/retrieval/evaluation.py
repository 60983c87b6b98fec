"""One evaluation, whole or in folds: measure and list, correct.

Place in the flow: embeddings and links -> folds -> ranks, metrics, hubness -> both directions, what was found, figures.
Scores are computed twice: once for ranks, lists and masses, and once more for all corrections, which need the masses.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from torch import Tensor

from fusemix.retrieval import hubness
from fusemix.retrieval.counting import Shift
from fusemix.retrieval.index import search_exactly
from fusemix.retrieval.listing import Top
from fusemix.retrieval.metrics import Direction, directions_of, flat, with_sums
from fusemix.retrieval.ranks import NOWHERE, Ranks, Seen, look_once, shifted_ranks
from fusemix.retrieval.tiles import ALONE, Share

Embeddings = tuple[Float32[Tensor, "left dim"], Float32[Tensor, "right dim"]]
"""Of the left and of the right side, unit length."""
LISTED = 100
"""Items a query that are listed in the pass over the scores; for more, FAISS is faster."""


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


class Survey(NamedTuple):
    """What one pass over all scores of an evaluation tells.

    Attributes:
        directions: both; figures are means over folds, and everything that belongs to a query is put together.
        tops: what stands at the top for each query of both, in the order of its ranks; None where nothing is listed.
        folds: parts that were measured one by one.
        seen: of each fold, in its own positions.
    """

    directions: tuple[Direction, Direction]
    tops: tuple[Top, Top] | None
    folds: Sequence[Fold]
    seen: Sequence[Seen]


def survey_folds(
    embeddings: Embeddings,
    folds: Sequence[Fold],
    modalities: tuple[str, str],
    ks: Sequence[int],
    *,
    depth: int = 0,
    with_masses: bool = False,
    share: Share = ALONE,
    advance: Callable[[int], None] = lambda count: None,
) -> Survey:
    """Measure both directions.

    Args:
        embeddings: of all items.
        folds: their parts.
        modalities: names of the sides.
        ks: depths of recall.
        depth: items to list for each query, at most as many as the smallest gallery has; 0 for none. Of more than
            LISTED only the best is listed here; see `listed`.
        with_masses: for `corrected_figures`.
        share, advance: see `ranks.look_once`.
    """
    beta = hubness.BETA if with_masses else 0.0
    depth = depth if depth <= LISTED else 1
    how: dict[str, Any] = {"depth": depth, "beta": beta, "share": share, "advance": advance}
    seen = [look_once(*fold.of(embeddings), fold.links, **how) for fold in folds]
    sizes = [(len(fold.left), len(fold.right)) for fold in folds]
    parts = [directions_of(each.ranks, modalities, size, ks) for each, size in zip(seen, sizes, strict=True)]
    left, right = [fold.left for fold in folds], [fold.right for fold in folds]
    one, other = zip(*parts, strict=True)
    directions = _together(one, left, right), _together(other, right, left)
    tops = [each.tops for each in seen if each.tops]
    if not tops:
        return Survey(directions, None, folds, seen)
    one, other = zip(*tops, strict=True)
    return Survey(directions, (_tops_together(one, right), _tops_together(other, left)), folds, seen)


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


def _tops_together(parts: Sequence[Top], given: Sequence[Int64[np.ndarray, " _items"]]) -> Top:
    """Lists of the queries of all folds, with positions in the whole set."""
    positions = [place[part.positions] for part, place in zip(parts, given, strict=True)]
    return Top(np.concatenate([part.scores for part in parts]), np.concatenate(positions))


def listed(survey: Survey, embeddings: Embeddings, k: int, *, use_gpu: bool) -> tuple[Top, Top]:
    """What stands at the top for each query of both directions, in the order of their ranks.

    Args:
        survey: of the embeddings, with lists.
        embeddings: on the CPU.
        k: items a query, as many as the survey was asked for; more than LISTED are searched by FAISS.
        use_gpu: search on a GPU where FAISS works there.
    """
    if survey.tops is not None and k <= LISTED:
        return survey.tops
    return search_folds(embeddings, survey.folds, k=k, use_gpu=use_gpu)


def search_folds(embeddings: Embeddings, folds: Sequence[Fold], *, k: int, use_gpu: bool) -> tuple[Top, Top]:
    """The same lists by FAISS; each fold is searched by itself."""
    ways: tuple[list[Top], list[Top]] = ([], [])
    for fold in folds:
        sides = fold.of(embeddings)
        for way, (asked, given) in zip(ways, ((0, 1), (1, 0)), strict=True):
            queries, gallery = sides[asked].numpy(), sides[given].numpy()
            rows = np.unique(fold.links[:, asked])
            way.append(search_exactly(queries, gallery, k, rows=rows, use_gpu=use_gpu))
    left, right = [fold.left for fold in folds], [fold.right for fold in folds]
    return _tops_together(ways[0], right), _tops_together(ways[1], left)


def corrected_figures(
    embeddings: Embeddings,
    survey: Survey,
    modalities: tuple[str, str],
    ks: Sequence[int],
    banks: tuple[Tensor, Tensor] | None = None,
    taken: tuple[Float32[np.ndarray, " right"], Float32[np.ndarray, " left"]] | None = None,
) -> dict[str, dict[str, float]]:
    """Figures of both directions with each correction of hubs, by its name in `hubness.DEFINITIONS`.

    All corrections and both directions share one pass over the scores.

    Args:
        embeddings: of all items.
        survey: of them, with masses.
        modalities: names of the sides.
        ks: depths of recall.
        banks: queries of the training set, of the left and of the right, for the query bank.
        taken: constants of gallery items, of the right and of the left; see hub_correction.py.
    """
    parts: dict[str, list[dict[str, float]]] = {}
    for fold, seen in zip(survey.folds, survey.seen, strict=True):
        sides = fold.of(embeddings)
        shifts = {
            "inverted_softmax": _by_softmax(seen),
            **({"query_bank": _by_bank(seen, sides, banks)} if banks else {}),
            **({"hub_constants": _by_constants(taken, fold)} if taken else {}),
        }
        ranked = shifted_ranks(*sides, fold.links, list(shifts.values()))
        for name, ranks in zip(shifts, ranked, strict=True):
            directions = directions_of(ranks, modalities, (len(sides[0]), len(sides[1])), ks)
            parts.setdefault(name, []).append(with_sums(flat(directions)))
    return {name: _means(figures) for name, figures in parts.items()}


def _by_softmax(seen: Seen) -> tuple[Shift, Shift]:
    assert seen.masses is not None, "corrections need masses"
    left, right = seen.masses
    return hubness.inverted_softmax(right), hubness.inverted_softmax(left)


def _by_bank(seen: Seen, sides: Embeddings, banks: tuple[Tensor, Tensor]) -> tuple[Shift, Shift]:
    assert seen.tops is not None, "which queries are corrected is told by what they find"
    one, other = (
        hubness.query_bank(hubness.bank_over(bank, gallery), ranks.queries, top.positions[:, 0], len(query))
        for bank, query, gallery, ranks, top in zip(banks, sides, sides[::-1], seen.ranks, seen.tops, strict=True)
    )
    return one, other


def _by_constants(taken: tuple[np.ndarray, np.ndarray], fold: Fold) -> tuple[Shift, Shift]:
    of_right, of_left = taken
    return Shift(-of_right[fold.right]), Shift(-of_left[fold.left])


def plain_figures(
    embeddings: Embeddings, folds: Sequence[Fold], modalities: tuple[str, str], ks: Sequence[int]
) -> dict[str, float]:
    """Figures of both directions and nothing else, for what stands beside a model."""
    return with_sums(flat(survey_folds(embeddings, folds, modalities, ks).directions))
