"""Searches for what is written of items beside what they look like: rankings of vectors and of BM25, fused.

Place in the flow: Found by vectors, words with numbers -> Found.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from fusemix.search.folder import Found, Index
from fusemix.search.names import fused

MOST_WRITTEN = 100
"""Items that a word may name; one that more have names none. As many of the nearest are fused with them."""


def named(
    index: Index, words: Sequence[str], query: Float32[np.ndarray, " width"], where: str | None = None
) -> list[int]:
    """Positions of items of which a word is written, the best by BM25 first, and of equal ones the nearest.

    Args:
        index: to look in; one of before has no words.
        words: as `names.words_asked` gives them.
        query: as it is searched by.
        where: what must hold of the items.
    """
    found: dict[int, float] = {}
    for word in words:
        rows = index.written(word, MOST_WRITTEN + 1, where)
        if len(rows) <= MOST_WRITTEN:
            found |= {row: max(worth, found.get(row, worth)) for row, worth in rows.items()}
    near = dict(zip(found, index.scores(query, list(found)).tolist(), strict=True)) if found else {}
    return sorted(found, key=lambda row: (-found[row], -near[row], row))


def search_written(
    index: Index,
    queries: Float32[np.ndarray, "queries width"],
    k: int,
    where: str | None,
    words: Sequence[Sequence[str]],
) -> Found:
    """As `Index.search`; where words are asked for, what they name and what is near are one ranking.

    Scores stay those of vectors, so they do not fall from place to place there.

    Args:
        index: to search.
        queries, k, where: as there.
        words: of each query; see `names.words_asked`.
    """
    if not any(words):
        return index.search(queries, k, where)
    scores, positions = index.search(queries, max(k, MOST_WRITTEN), where)
    for place, asked in enumerate(words):
        if called := named(index, asked, queries[place], where):
            near = positions[place][positions[place] >= 0].tolist()
            best = list(dict.fromkeys([*fused(near[:MOST_WRITTEN], called), *near]))[: positions.shape[1]]
            positions[place, : len(best)] = best
            scores[place, : len(best)] = index.scores(queries[place], best)
    return Found(scores[:, :k], positions[:, :k])
