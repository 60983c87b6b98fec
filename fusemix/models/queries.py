"""Queries of any kind, and the one vector that several are added up to.

Place in the flow: words, files, ids, vectors -> Query -> unit vectors -> summed -> what is searched by, or drawn from.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from fusemix.errors import QueryError
from fusemix.search.typed import WEIGHTS, is_weight, terms_of

LIKE, EMBEDDING = "like", "embedding"
SHORTEST_SUM = 1e-3
"""Unit vectors whose sum is shorter, of which the largest weight is 1, cancel out: what is left of them is noise."""


class Query(NamedTuple):
    """What is asked.

    Attributes:
        kind: a modality of the model; `like` for an item of the index; `embedding` for a vector.
        content: of a modality, what `Model.encode` takes for one item; the item's id; or the vector.
        of: modality that a vector is an embedding of, where that is known.
        weight: by which it counts in a sum; a negative one finds what is far from it.
    """

    kind: str
    content: Any
    of: str | None = None
    weight: float = 1.0


def given(
    text: Sequence[str] = (), image: Sequence[Any] = (), audio: Sequence[Any] = (), like: Sequence[str] = ()
) -> list[Query]:
    """What is asked, in the order texts, pictures, sounds, items; a text may be a sum, `"beach" - "people"`."""
    return [
        *(Query("text", one, weight=by) for typed in text for one, by in terms_of(typed)),
        *(Query("image", path) for path in image),
        *(Query("audio", path) for path in audio),
        *(Query(LIKE, item) for item in like),
    ]


def told(queries: Sequence[Query], shown: Callable[[Any], str] = str) -> str:
    """A sum of queries, for people: `2*text: red - image: car.jpg`.

    Args:
        queries: at least one.
        shown: makes a content readable.
    """
    signs = [" + " if query.weight > 0 else " - " for query in queries]
    signs[0] = "" if queries[0].weight > 0 else "-"
    factors = ["" if abs(query.weight) == 1 else f"{abs(query.weight):g}*" for query in queries]
    terms = [f"{query.kind}: {shown(query.content)}" for query in queries]
    return "".join(map("".join, zip(signs, factors, terms, strict=True)))


def summed(
    vectors: Float32[np.ndarray, "queries dim"],
    weights: Float32[np.ndarray, "queries added"] | None = None,
    factors: Sequence[float] | None = None,
) -> Float[np.ndarray, " width"]:
    """The unit vector that has the highest mean cosine with some unit vectors, that of their sum; and their weights.

    Its score with an item is then that of the mean of all scores, but for a factor.

    Args:
        vectors: of the queries.
        weights: of what is added to their scores; see `Searcher.weights`. None where nothing is.
        factors: by which vectors and weights of each query count; all alike by default.

    Raises:
        QueryError: a factor is not what it must be, or they cancel out.
    """
    by = np.ones(len(vectors), np.float32) if factors is None else np.asarray(factors, np.float32)
    wrong = [number for number in by.tolist() if not is_weight(number)]
    if wrong:
        raise QueryError(f"a query has the weight {wrong[0]:g}, but must have {WEIGHTS}.")
    total = by @ vectors
    length = float(np.linalg.norm(total))
    if length < SHORTEST_SUM * np.abs(by).max():
        raise QueryError("the queries cancel out: nothing is near to all of them.")
    added = total[:0] if weights is None else by @ weights
    return np.concatenate([total, added]) / np.float32(length)
