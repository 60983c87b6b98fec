"""Any other data set with worse captions: exchanged among items, or with words left out; to learn what that costs.

Place in the flow: another PairSet -> links and words, changed by a hash of what they are and of the seed -> PairSet.
Numbers of items stay as they are; captions that have become the same are one item, as everywhere.

What becomes of a link or a word depends on nothing but the seed and its ids, so a larger share contains a smaller one.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from fusemix.datasets import DATASETS
from fusemix.datasets.pairs import pair_captions
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet
from fusemix.parts.ranges import within
from fusemix.parts.trust import is_named_by_data, require_trust
from fusemix.split_names import meant

TRIES = 1000
"""Partners that are tried for one link before the next one."""


def corrupted(
    *,
    split: str,
    of: str | Mapping[str, Any],
    swapped: float = 0.0,
    deleted: float = 0.0,
    seed: int = 0,
    splits: Sequence[str] = ("train",),
) -> PairSet:
    """Another data set, some of whose captions are exchanged among items, and some of whose words are left out.

    Args:
        split: of the other data set.
        of: the other data set: its name, or {name: NAME, options: {…}}.
        swapped: share of the links whose captions are exchanged, in [0, 1]; none comes back to an item of its own.
        deleted: share of the words that are left out, in [0, 1]; of each caption one word stays.
        seed: of both.
        splits: that are changed; all others are the other data set itself, under its name.

    Raises:
        DatasetError: the other data set has no captions, or too few links to exchange; or it raises that.
    """
    within("swapped", swapped, 0.0, 1.0)
    within("deleted", deleted, 0.0, 1.0)
    pairs = _other(of, split)
    if meant(split, tuple(splits)) is None:
        return pairs
    if "caption" not in pairs.right.table.column_names or not len(pairs.links):
        raise DatasetError(f"corrupted: {pairs.dataset} has no captions. Name a data set of captioned items in `of`.")
    ids = [items.table["id"].to_pylist() for items in pairs.sides]
    links = exchanged(pairs.links, swapped, [f"{ids[0][one]}#{ids[1][other]}" for one, other in pairs.links], seed)
    captions = pairs.right.table["caption"].to_pylist()
    captions = [thinned(text, deleted, f"{seed}:{item}") for text, item in zip(captions, ids[1], strict=True)]
    times = pairs.times if pairs.times is not None else np.ones(len(links), dtype=np.int64)
    return pair_captions(
        dataset="corrupted",
        revision=f"{pairs.dataset}, {pairs.revision}; {swapped:g} of the links swapped, {deleted:g} of the words "
        f"deleted, seed {seed}",
        split=pairs.split,
        modality=pairs.left.modality,
        media=pairs.left.table,
        reader=lambda table: pairs.left.read,  # no medium loses its last link, so rows stay
        captions=[(int(row), captions[text]) for (row, text), n in zip(links, times, strict=True) for _ in range(n)],
        excluded=pairs.excluded,
    )


def _other(of: str | Mapping[str, Any], split: str) -> PairSet:
    said = {"name": of} if isinstance(of, str) else dict(of)
    name, options = said.pop("name", None), said.pop("options", None) or {}
    if not isinstance(name, str) or said or not isinstance(options, Mapping):
        raise DatasetError(f"corrupted: `of` is {of!r}, but must be the name of a data set, or {{name: NAME, options: "
                           "{…}}.")  # fmt: skip
    if is_named_by_data() and not DATASETS.is_own(name):
        require_trust("the data set corrupted", [name], trust_code=False)
    return DATASETS.build(name, options, split=split)


def exchanged(
    links: Int64[np.ndarray, "links 2"], share: float, names: Sequence[str], seed: int
) -> Int64[np.ndarray, "links 2"]:
    """Links of which a share have exchanged their right rows among themselves.

    Args:
        links: (left row, right row), each once.
        share: of them, in [0, 1]; two at least where it is not 0. What belongs to more than half of all left rows stays
            where it is, since there is hardly anywhere else.
        names: one for each link, by which it is chosen.
        seed: of the choice.

    Returns:
        As many links, each once. None of those chosen leads to a right row that its left row was linked with before,
        and every row has as many links as before.

    Raises:
        DatasetError: there are too few to exchange any so.
    """
    if share == 0:
        return links
    num_left = len(np.unique(links[:, 0]))
    candidates = np.flatnonzero(np.bincount(links[:, 1])[links[:, 1]] <= num_left / 2)
    if not len(candidates):
        raise _too_few(0)
    order = sorted(candidates.tolist(), key=lambda place: _hash(f"{seed}:{names[place]}"))
    chosen = order[: max(2, round(share * len(links)))]
    chosen.sort(key=lambda place: (_hash(f"{seed}:left:{links[place, 0]}"), place))  # links of one item side by side
    most = int(np.unique(links[chosen, 0], return_counts=True)[1].max())
    found = links.copy()
    found[chosen, 1] = np.roll(links[chosen, 1], most)
    _mend(found, chosen, {(int(one), int(other)) for one, other in links}, random.Random(f"{seed}:mend"))
    return found


def _mend(
    links: Int64[np.ndarray, "links 2"], chosen: Sequence[int], before: set[tuple[int, int]], drawn: random.Random
) -> None:
    """Exchange once more, in place, where a link was one before, or is there twice."""
    counts: dict[tuple[int, int], int] = {}
    for one, other in links.tolist():
        counts[one, other] = counts.get((one, other), 0) + 1
    for place in chosen:
        one, other = map(int, links[place])
        for _ in range(TRIES):
            if (one, other) not in before and counts[one, other] == 1:
                break
            partner = chosen[drawn.randrange(len(chosen))]
            its, theirs = map(int, links[partner])
            new = [(one, theirs), (its, other)]
            if partner == place or new[0] == new[1] or any(pair in before or counts.get(pair) for pair in new):
                continue
            for pair in ((one, other), (its, theirs)):
                counts[pair] -= 1
            for pair in new:
                counts[pair] = 1
            links[place, 1], links[partner, 1] = theirs, other
            other = theirs
        else:
            raise _too_few(len(chosen))


def _too_few(count: int) -> DatasetError:
    return DatasetError(
        f"corrupted: {count:,} links are too few, or too alike, to be exchanged so that none comes back to its own "
        "item. Set dataset.options.swapped to another share, or to 0."
    )


def thinned(text: str, share: float, name: str) -> str:
    """A text that has lost each of its words with a probability, but for one that always stays.

    Args:
        text: of words between spaces.
        share: the probability, in [0, 1].
        name: of the text and the seed, by which words are drawn.
    """
    if share == 0:
        return text
    words, drawn = text.split(), random.Random(name)
    kept = [word for word in words if drawn.random() >= share]
    return " ".join(kept or [words[drawn.randrange(len(words))]])


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
