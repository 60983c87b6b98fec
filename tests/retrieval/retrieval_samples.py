"""Embeddings and links for the tests of retrieval, and what is expected of them by the definitions, slowly."""

import threading
from collections.abc import Callable

import numpy as np
import torch
from hypothesis import strategies as st
from torch.nn import functional as F

from fusemix.retrieval.counting import Share
from fusemix.retrieval.ranks import DEPTH, TIE_TOLERANCE


def unit(rows: int, dim: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def lattice(rows: int, dim: int, seed: int) -> torch.Tensor:
    """Embeddings whose products are exact in float32, however they are added up, and often equal."""
    return torch.randint(-2, 3, (rows, dim), generator=torch.Generator().manual_seed(seed)).float() / 4


def drawn_links(num_left: int, num_right: int, count: int, seed: int) -> np.ndarray:
    """Distinct pairs in no order."""
    chosen = np.random.default_rng(seed).choice(num_left * num_right, size=count, replace=False)
    return np.column_stack([chosen // num_right, chosen % num_right])


def matched(num_items: int) -> np.ndarray:
    return np.column_stack([np.arange(num_items)] * 2)


def captioned(num_items: int, captions: int) -> np.ndarray:
    return np.column_stack([np.repeat(np.arange(num_items), captions), np.arange(num_items * captions)])


@st.composite
def problems(draw):
    """Exact embeddings of two sides with links; more than DEPTH of an item, at times."""
    left, right = draw(st.integers(1, 9)), draw(st.integers(1, 24))
    pair = st.tuples(st.integers(0, left - 1), st.integers(0, right - 1))
    links = np.array(draw(st.lists(pair, min_size=1, max_size=60, unique=True)), dtype=np.int64)
    sides = lattice(left, 4, draw(st.integers(0, 999))), lattice(right, 4, draw(st.integers(0, 999)))
    return (*sides, links) if draw(st.booleans()) else (*sides[::-1], links[:, ::-1].copy())


def slow_ranks(query: torch.Tensor, gallery: torch.Tensor, links: np.ndarray) -> dict[int, tuple[list[int], bool]]:
    """Query -> ranks of its best linked items, and whether the best one ties; in float64, one comparison at a time."""
    found = {}
    for q in sorted(set(links[:, 0].tolist())):
        scores = [float(query[q].double() @ item.double()) for item in gallery]
        linked = set(links[links[:, 0] == q, 1].tolist())
        unlinked = [score for item, score in enumerate(scores) if item not in linked]
        own = sorted((scores[item] for item in linked), reverse=True)
        ranks = [1 + place + sum(s >= score - TIE_TOLERANCE for s in unlinked) for place, score in enumerate(own)]
        found[q] = ranks[:DEPTH], any(abs(s - own[0]) <= TIE_TOLERANCE for s in unlinked)
    return found


def together(count: int, work: Callable[[Share], object]) -> list:
    """What `count` processes find that share the work; threads stand for them, and wait for one another's counts."""
    barrier, given, found = threading.Barrier(count, timeout=60), [None] * count, [None] * count

    def process(rank: int) -> None:
        def total(counts: np.ndarray) -> np.ndarray:
            given[rank] = counts
            barrier.wait()
            added = np.sum(given, axis=0)
            barrier.wait()
            return added

        found[rank] = work(Share(rank, count, total))

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
