"""What each query found: the top of its list, for files, pictures and pages.

Place in the flow: a measured direction and embeddings -> FAISS -> Results -> queries.jsonl, sample queries.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fusemix.interfaces import Content
from fusemix.retrieval.index import GalleryIndex
from fusemix.retrieval.metrics import Direction
from fusemix.retrieval.picture import Example, Found


class Results(NamedTuple):
    """The k best gallery items of each query of a direction; row i is query `direction.ranks.queries[i]`.

    Attributes:
        direction: what was measured.
        scores: cosines, best first.
        positions: of the gallery items.
        is_linked: whether they belong to the query.
    """

    direction: Direction
    scores: Float[np.ndarray, "queries k"]
    positions: Int64[np.ndarray, "queries k"]
    is_linked: Bool[np.ndarray, "queries k"]


def search_results(
    direction: Direction,
    query: Float[Tensor, "queries dim"],
    gallery: Float[Tensor, "items dim"],
    links: Int64[np.ndarray, "links 2"],
    *,
    k: int,
    use_gpu: bool,
) -> Results:
    """Search the gallery for every query that was measured.

    Args:
        direction: what was measured on these embeddings.
        query, gallery: unit length, float32.
        links: (query position, gallery position).
        k: items a query.
        use_gpu: search on a GPU where FAISS works there.
    """
    queries = direction.ranks.queries
    scores, positions = GalleryIndex(gallery.numpy(), use_gpu=use_gpu).search(query.numpy()[queries], k)
    numbered = links[:, 0] * len(gallery) + links[:, 1]
    is_linked = np.isin(queries[:, None] * len(gallery) + positions, numbered)
    return Results(direction, scores, positions, is_linked)


def query_lines(results: Results, query_ids: Sequence[str], gallery_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One line a query: rank of its first linked item, what stands at the top, with scores."""
    ranks = results.direction.ranks
    for place, query in enumerate(ranks.queries.tolist()):
        yield {
            "direction": results.direction.name,
            "query": query_ids[query],
            "rank": int(ranks.ranks[place]),
            "found": [gallery_ids[position] for position in results.positions[place].tolist()],
            "scores": [round(score, 6) for score in results.scores[place].tolist()],
            "is_linked": results.is_linked[place].tolist(),
        }


def sample_examples(
    results: Results,
    read_query: Callable[[int], Content],
    read_gallery: Callable[[int], Content],
    *,
    num_examples: int,
    num_found: int,
    generator: np.random.Generator,
) -> list[Example]:
    """Some queries, drawn at random, with the contents of what they found.

    Args:
        results: of one direction.
        read_query, read_gallery: position -> picture, sound or text.
        num_examples: queries, at most as many as there are.
        num_found: gallery items a query.
        generator: source of the draw.
    """
    ranks = results.direction.ranks
    count = min(num_examples, len(ranks.queries))
    examples = []
    for place in generator.choice(len(ranks.queries), size=count, replace=False).tolist():
        rows = (results.positions[place], results.scores[place], results.is_linked[place])
        found = [Found(read_gallery(p), s, linked) for p, s, linked in zip(*(r.tolist() for r in rows), strict=True)]
        query = read_query(int(ranks.queries[place]))
        examples.append(Example(query, found[:num_found], int(ranks.ranks[place])))
    return examples
