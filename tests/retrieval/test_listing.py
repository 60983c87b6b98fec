"""What the pass over the scores lists, against a full and stable sort in float64."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_samples import drawn_links, lattice, matched, together, unit

from fusemix.retrieval import listing, tiles
from fusemix.retrieval.index import search_exactly
from fusemix.retrieval.listing import Listing, Top
from fusemix.retrieval.ranks import look_once
from fusemix.retrieval.tiles import Tile

NARROWEST = 8 * tiles.WORDS


def sorted_top(query: torch.Tensor, gallery: torch.Tensor, k: int) -> Top:
    scores = query.double().numpy() @ gallery.double().numpy().T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Top(np.take_along_axis(scores, order, axis=1), order)


def require_lists(found: tuple[Top, Top], left: torch.Tensor, right: torch.Tensor, links: np.ndarray, k: int) -> None:
    for way, (top, query, gallery) in enumerate(zip(found, (left, right), (right, left), strict=True)):
        expected = sorted_top(query[np.unique(links[:, way])], gallery, k)
        np.testing.assert_array_equal(top.positions, expected.positions)
        np.testing.assert_allclose(top.scores, expected.scores, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.tuples(st.integers(1, 40), st.one_of(st.integers(1, 60), st.integers(NARROWEST - 5, NARROWEST + 50))),
    turned=st.booleans(),
    collapsed=st.booleans(),
    height=st.integers(1, 17),
    looked_at=st.integers(1, 3000),
    seed=st.integers(0, 999),
)
def test_lists_are_those_of_a_stable_sort_in_tiles_of_any_size(sizes, turned, collapsed, height, looked_at, seed):
    """With many ties, with nothing but ties, and as deep as the smaller side."""
    sizes = sizes[::-1] if turned else sizes
    sides = [torch.ones(size, 4) / 2 if collapsed else lattice(size, 4, seed + size) for size in sizes]
    links, k = drawn_links(*sizes, min(sizes), seed), 1 + seed % min(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "CPU_TILE", (height, NARROWEST))
        patch.setattr(tiles, "THREAD_ROWS", 1 + seed % 5)
        patch.setattr(listing, "LOOKED_AT", looked_at)
        patch.setattr(listing, "LISTS_AT_ONCE", 30 + seed)
        require_lists(look_once(*sides, links, depth=k).tops, *sides, links, k)


def test_scores_of_either_sign_and_zeros_of_both_are_in_order():
    query, gallery = torch.tensor([[1.0], [-1.0]]), torch.tensor([[-0.5], [0.0], [-0.0], [0.5], [-1.0], [0.0]])
    found = look_once(query, gallery, np.array([[0, 0], [1, 1]]), depth=2).tops[0]
    assert found.positions.tolist() == [[3, 1], [4, 0]]
    deep = look_once(torch.cat([query] * 3), gallery, np.array([[0, 0], [1, 1]]), depth=6).tops[0]
    assert deep.positions.tolist() == [[3, 1, 2, 5, 0, 4], [4, 0, 1, 2, 5, 3]]
    assert deep.scores.tolist() == [[0.5, 0, 0, 0, -0.5, -1], [1, 0.5, 0, 0, 0, -0.5]]


def test_faiss_lists_the_same():
    left, right = unit(300, 16, 0), unit(700, 16, 1)
    found = look_once(left, right, matched(300), depth=10).tops[0]
    by_faiss = search_exactly(left.numpy(), right.numpy(), 10, use_gpu=False)
    np.testing.assert_array_equal(found.positions, by_faiss.positions)
    np.testing.assert_allclose(found.scores, by_faiss.scores, atol=1e-6)


@pytest.mark.parametrize("processes", [2, 5])
def test_processes_that_share_the_work_all_have_the_lists_and_masses_of_one(processes, monkeypatch):
    monkeypatch.setattr(tiles, "CPU_TILE", (9, NARROWEST))
    monkeypatch.setattr(listing, "EXCHANGED_AT_ONCE", 13)
    left, right, links = lattice(60, 4, 0), lattice(31, 4, 1), drawn_links(60, 31, 90, 0)
    alone = look_once(left, right, links, depth=7, beta=20.0)
    for found in together(processes, lambda share: look_once(left, right, links, depth=7, beta=20.0, share=share)):
        require_lists(found.tops, left, right, links, 7)
        for one, other in zip(found.masses, alone.masses, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_gpu_lists_what_a_cpu_lists():
    """The same code on one tile after the other, with the operations that a GPU does."""
    left, right = lattice(40, 4, 0), lattice(333, 4, 1)
    found = Listing((40, 333), (6, 5))
    with ThreadPoolExecutor(2) as pool:
        for top in (0, 16, 32):
            for start in (0, 200):
                part = Tile(
                    left[top : top + 16] @ right[start : start + 200].T,
                    slice(top, min(top + 16, 40)),
                    slice(start, min(start + 200, 333)),
                )
                found.prepare(part)
                found.keep(part, found.from_device(part))
                found.finish(part, pool.map)
    one, other = found.best()
    np.testing.assert_array_equal(one.positions, sorted_top(left, right, 6).positions)
    np.testing.assert_array_equal(other.positions, sorted_top(right, left, 5).positions)


def test_of_nothing_but_ties_few_entries_are_put_into_order(monkeypatch):
    """A model that gives everything the same embedding must not be slow: all of its scores tie."""
    seen = []
    merged = listing._merged
    monkeypatch.setattr(
        listing, "_merged", lambda best, new, start: seen.append(len(new.own)) or merged(best, new, start)
    )
    same = torch.ones(900, 4) / 2
    look_once(same, same, matched(900), depth=5)
    assert sum(seen) == 2 * 900 * 5
