"""What a person is shown of an evaluation: sample queries with their contents, samples of cosines and of embeddings.

Place in the flow: Results, embeddings, LatentSet -> the tuples of reports/page/data.py.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from fusemix.encoders.decoding import decode
from fusemix.errors import UntrustedCodeError
from fusemix.interfaces import Content, Items
from fusemix.latents.description import SET, read_description
from fusemix.latents.galleries import Gallery, SideItems
from fusemix.latents.sets import LatentSet
from fusemix.models.places import placed, root_of
from fusemix.models.recipes import pairs_of
from fusemix.progress import console
from fusemix.reports.page.choice import chosen_queries
from fusemix.reports.page.data import Card, DirectionPage, FoundItem, PairScores, Points, Shown
from fusemix.retrieval.results import Results, belongs
from fusemix.retrieval.zero_shot import ZeroShot
from fusemix.wiring.evaluation.zero_shot import Labels

Reader = Callable[[int], Content]
SHOWN = 5
"""Gallery items a query."""
MOST_SCORES = 20_000
MOST_POINTS = 300


def directions_shown(
    results: tuple[Results, Results], latent_set: LatentSet, gallery: Gallery, count: int, *, trust_code: bool = False
) -> list[DirectionPage]:
    """Both directions with their best, typical and worst queries.

    Args:
        results: of both directions, left to right first.
        latent_set: that was measured.
        gallery: its items that took part.
        count: queries of each kind.
        trust_code: whether a data set that is not fusemix's own may run, to show its items.
    """
    sides = gallery.of(latent_set)
    shown = list(map(_shower, sides, content_readers(latent_set, sides, trust_code)))
    pages = []
    for found, (query, item) in zip(results, (shown, shown[::-1]), strict=True):
        direction = found.direction
        ranks = direction.ranks
        places = chosen_queries(ranks.ranks, ranks.best, count)
        cards = [_card(kind, place, found, query, item) for kind, some in places.items() for place in some.tolist()]
        pages.append(DirectionPage(direction.name, ranks.ranks, ranks.num_links, direction.counts["gallery"], cards))
    return pages


def _shower(items: SideItems, read: Reader) -> Callable[[int], Shown]:
    def shown(position: int) -> Shown:
        item, words = items.id(position), items.label(position)
        if items.modality == "text" and words:  # the table has it; the data set may be out of reach
            return Shown(item, words, "")
        return Shown(item, read(position), words)

    return shown


def classified_cards(
    found: ZeroShot,
    embeddings: tuple[Tensor, Tensor],
    latent_set: LatentSet,
    labels: Labels,
    count: int,
    *,
    trust_code: bool = False,
) -> list[Card]:
    """The best, typical and worst items of a classification, each with the classes that are nearest to it.

    Args:
        found: what was measured.
        embeddings: of the items, and of the classes, unit length.
        latent_set: that was measured.
        labels: of its items.
        count: items of each kind.
        trust_code: whether a data set that is not fusemix's own may run, to show its items.
    """
    read = content_readers(latent_set, (labels.items, labels.prompts), trust_code)[0]
    item, (items, classes) = _shower(labels.items, read), embeddings
    names = [Shown(name, words, "") for name, words in zip(labels.classes, labels.words, strict=True)]

    def card(kind: str, place: int) -> Card:
        own, rank = int(labels.class_of_item[place]), int(found.nearest.ranks[place])
        top = (items[place] @ classes.T).topk(min(SHOWN, len(classes)))
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        nearest = [FoundItem(names[label], score, label == own) for score, label in pairs]
        is_seen = any(each.is_linked for each in nearest)
        missed = None if is_seen else FoundItem(names[own], float(found.nearest.scores[place]), is_linked=True)
        return Card(kind, item(place), rank, nearest, missed)

    chosen = chosen_queries(found.nearest.ranks, found.nearest.scores, count)
    return [card(kind, place) for kind, places in chosen.items() for place in places.tolist()]


def num_out_of_reach(shown: Iterable[Shown]) -> int:
    """How many of the items shown have only their id left, since their data set cannot be read any more."""
    return len({item.id for item in shown if isinstance(item.content, str) and item.content == item.id})


def _card(kind: str, place: int, results: Results, query: Callable[[int], Shown], item: Callable[[int], Shown]) -> Card:
    ranks = results.direction.ranks
    top = zip(*(field[place, :SHOWN].tolist() for field in (*results.top[::-1], results.is_linked)), strict=True)
    found = [FoundItem(item(position), score, linked) for position, score, linked in top]
    is_seen = any(each.is_linked for each in found)
    first = None if is_seen else FoundItem(item(int(ranks.first[place])), float(ranks.best[place]), is_linked=True)
    return Card(kind, query(int(ranks.queries[place])), int(ranks.ranks[place]), found, first)


def sampled_scores(embeddings: Sequence[Tensor], links: Int64[np.ndarray, "links 2"], seed: int) -> PairScores:
    """Cosines of linked and of unlinked pairs, drawn at random.

    Args:
        embeddings: of the left and of the right, unit length.
        links: (left position, right position).
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    linked = links[generator.permutation(len(links))[:MOST_SCORES]]
    drawn = np.column_stack([generator.integers(len(side), size=MOST_SCORES) for side in embeddings])
    unlinked = drawn[~belongs(links, drawn[:, 0], drawn[:, 1:])[:, 0]]
    one, other = ((embeddings[0][pairs[:, 0]] * embeddings[1][pairs[:, 1]]).sum(dim=1) for pairs in (linked, unlinked))
    return PairScores(one.numpy(), other.numpy())


def sampled_points(embeddings: Sequence[Tensor], latent_set: LatentSet, gallery: Gallery, seed: int) -> Points:
    """Embeddings of linked pairs for the map: left items drawn at random, each with the first item linked to it.

    Args:
        embeddings: of the left and of the right, unit length.
        latent_set: that was measured.
        gallery: its items that took part.
        seed: of the draw.
    """
    links = gallery.links[np.lexsort((gallery.links[:, 1], gallery.links[:, 0]))]
    first = links[np.unique(links[:, 0], return_index=True)[1]]
    pairs = first[np.sort(np.random.default_rng(seed).permutation(len(first))[:MOST_POINTS])]
    left, right = (side[pairs[:, column]].numpy() for column, side in enumerate(embeddings))
    left_labels, right_labels = (
        [items.label(place) or items.id(place) for place in pairs[:, column].tolist()]
        for column, items in enumerate(gallery.of(latent_set))
    )
    return Points(left, right, left_labels, right_labels, (latent_set.left.modality, latent_set.right.modality))


def content_readers(
    latent_set: LatentSet, sides: tuple[SideItems, SideItems], trust_code: bool = False
) -> list[Reader]:
    """For the left and the right: position among the items given -> picture, sound or text.

    They are read out of the data set that the latents were made from, which their set itself names; one that is not
    fusemix's own runs only where `trust_code` says so. What cannot be shown any more (the
    files moved, the hub is out of reach) is shown by its id.
    """
    opened = cache(lambda folder: _sources(folder, latent_set, trust_code))

    def reader(items: SideItems) -> Reader:
        source = next((side for side in opened(items.side.folder) if side.modality == items.modality), None)

        def read(position: int) -> Content:
            try:
                row = int(items.rows[position])
                return decode(items.modality, source.read(row)) if source else items.id(position)
            except Exception:
                return items.id(position)

        return read

    return list(map(reader, sides))


def _sources(folder: Path, latent_set: LatentSet, trust_code: bool) -> Sequence[Items]:
    """Both sides of the data set that a latent set was made from; none where it cannot be read any more."""
    described = read_description(folder / SET)
    about = described["source"]
    paths = [
        side.table["path"] for side in latent_set.sides if side.folder == folder and "path" in side.table.column_names
    ]
    placed_source = placed(about, [Path(root_of(about, folder, paths[0][0].as_py() if paths else None))])
    try:
        return pairs_of(placed_source, described["split"], str(folder / SET), trust_code).sides
    except UntrustedCodeError as error:
        console.print(f"items are shown by their ids: {error}", style="yellow")
    except Exception:  # any data set, also a user's own, may fail in any way; a picture is not worth the report
        return ()
    return ()
