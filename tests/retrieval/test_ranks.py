import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fusemix.retrieval import ranks as ranks_module
from fusemix.retrieval.index import GalleryIndex
from fusemix.retrieval.ranks import TIE_TOLERANCE, linked_ranks


def unit(rows: int, dim: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def slow_ranks(query: torch.Tensor, gallery: torch.Tensor, links: np.ndarray) -> dict[int, tuple[int, bool]]:
    """By the definition, in float64 and one query at a time."""
    found = {}
    for q in sorted(set(links[:, 0].tolist())):
        scores = [float(query[q].double() @ item.double()) for item in gallery]
        linked = set(links[links[:, 0] == q, 1].tolist())
        best = max(scores[i] for i in linked)
        unlinked = [s for i, s in enumerate(scores) if i not in linked]
        ahead = sum(s >= best - TIE_TOLERANCE for s in unlinked)
        found[q] = (ahead + 1, any(abs(s - best) <= TIE_TOLERANCE for s in unlinked))
    return found


@st.composite
def problems(draw):
    queries, items = draw(st.integers(1, 9)), draw(st.integers(1, 14))
    pair = st.tuples(st.integers(0, queries - 1), st.integers(0, items - 1))
    links = np.array(sorted(draw(st.sets(pair, min_size=1, max_size=20))), dtype=np.int64)
    gallery = unit(items, 5, draw(st.integers(0, 99)))
    copies = draw(st.lists(st.integers(0, items - 1), min_size=items, max_size=items))
    if draw(st.booleans()):  # many equal items, so that ties happen
        gallery = gallery[torch.tensor(copies)]
    return unit(queries, 5, draw(st.integers(0, 99))), gallery, links


@settings(deadline=None)
@given(problem=problems())
def test_ranks_follow_the_definition(problem):
    query, gallery, links = problem
    found = linked_ranks(query, gallery, links)
    expected = slow_ranks(query, gallery, links)
    assert found.queries.tolist() == list(expected)
    assert list(zip(found.ranks.tolist(), found.tied.tolist(), strict=True)) == list(expected.values())
    assert found.num_links.tolist() == [int((links[:, 0] == q).sum()) for q in expected]


@settings(deadline=None)
@given(problem=problems())
def test_faiss_finds_a_linked_item_at_the_rank_that_was_counted(problem):
    """Apart from ties, the first linked item in FAISS's list stands at the exact rank."""
    query, gallery, links = problem
    exact = linked_ranks(query, gallery, links)
    _, found = GalleryIndex(gallery.numpy()).search(query.numpy(), len(gallery))
    linked = {tuple(link) for link in links.tolist()}
    for q, rank, tied in zip(exact.queries.tolist(), exact.ranks.tolist(), exact.tied.tolist(), strict=True):
        place = next(i for i, item in enumerate(found[q].tolist()) if (q, item) in linked) + 1
        assert place <= rank if tied else place == rank


def test_working_in_pieces_gives_the_same(monkeypatch):
    query, gallery = unit(50, 8, 0), unit(30, 8, 1)
    links = np.column_stack([np.repeat(np.arange(50), 2), np.arange(100) % 30])
    whole = linked_ranks(query, gallery, links)
    monkeypatch.setattr(ranks_module, "SCORES_AT_ONCE", 30 * 7)
    assert all((a == b).all() for a, b in zip(linked_ranks(query, gallery, links), whole, strict=True))


def test_the_order_of_links_does_not_matter():
    query, gallery = unit(20, 8, 0), unit(30, 8, 1)
    links = np.column_stack([np.arange(20), np.arange(20)])
    again = linked_ranks(query, gallery, links[np.random.default_rng(0).permutation(20)])
    assert (linked_ranks(query, gallery, links).ranks == again.ranks).all()


def test_a_collapsed_model_ranks_every_linked_item_last():
    same = torch.ones(12, 4) / 2
    found = linked_ranks(same, same, np.column_stack([np.arange(12)] * 2))
    assert (found.ranks == 12).all()
    assert found.tied.all()


def test_several_linked_items_do_not_push_each_other_back():
    gallery = torch.eye(4)
    query = F.normalize(torch.tensor([[3.0, 2.0, 1.0, 0.5]]), dim=1)
    assert linked_ranks(query, gallery, np.array([[0, 0], [0, 1]])).ranks.tolist() == [1]
    assert linked_ranks(query, gallery, np.array([[0, 1], [0, 2]])).ranks.tolist() == [2]


def test_queries_without_links_are_left_out():
    found = linked_ranks(torch.eye(3), torch.eye(3), np.array([[2, 2]]))
    assert found.queries.tolist() == [2]


def test_nan_and_missing_links_are_refused():
    broken = torch.eye(3)
    broken[1, 1] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        linked_ranks(torch.eye(3), broken, np.array([[0, 0]]))
    with pytest.raises(ValueError, match="no query has a link"):
        linked_ranks(torch.eye(3), torch.eye(3), np.empty((0, 2), dtype=np.int64))
