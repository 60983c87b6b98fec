"""Numbers that somebody types are looked for as they are written: in names, paths and captions, by BM25.

Place in the flow: items -> a column of words, with LanceDB's inverted index; a text with a number -> words to look for;
two rankings -> one.

A number of three digits or more names something (IMG_1234, 2023, 747), and an embedding hardly knows which. All other
words are left to the embeddings: fused with BM25 over captions, text-to-image search lost what has no caption, see
docs/searching.md.
"""

import re
from collections.abc import Sequence

import pyarrow as pa

RUN = re.compile(r"[^\W\d_]+|\d+")
"""Letters, or digits: `IMG_1234` and `img1234` are the words img and 1234."""
NUMBER = re.compile(r"\d{3,}")
LATE = 60
"""How little the first ranks count more than later ones (Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion
outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009)."""


def words_of_items(about: pa.Table) -> pa.Array:
    """What is written of each item, word by word.

    Args:
        about: with columns `id`, `path` and `captions`.
    """
    rows = zip(*(about[name].to_pylist() for name in ("id", "path", "captions")), strict=True)
    return pa.array([" ".join(_runs(" ".join([item, path or "", *(said or [])]))) for item, path, said in rows])


def _runs(text: str) -> list[str]:
    return [run.lower() for run in RUN.findall(text)]


def words_asked(text: str) -> list[str]:
    """What of a text is looked for as it is written: of each word with a number of three digits or more, all runs."""
    return list(dict.fromkeys(" ".join(_runs(word)) for word in text.split() if NUMBER.search(word)))


def fused(*rankings: Sequence[int]) -> list[int]:
    """One ranking of several, by the sum of what ranks are worth; of equal sums, as the last ranking has them first.

    Args:
        rankings: items, best first.
    """
    worth: dict[int, float] = {}
    for ranking in reversed(rankings):
        for rank, item in enumerate(ranking, start=1):
            worth[item] = worth.get(item, 0.0) + 1 / (LATE + rank)
    return sorted(worth, key=lambda item: -worth[item])
