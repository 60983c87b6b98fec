from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from retrieval_samples import captioned, drawn_links, matched, problems, slow_ranks, together, unit
from torch.nn import functional as F

from fusemix.retrieval import ranks as ranks_module
from fusemix.retrieval import tiles
from fusemix.retrieval.counting import Shift
from fusemix.retrieval.index import search_exactly
from fusemix.retrieval.ranks import DEPTH, NOWHERE, TIE_TOLERANCE, Ranks, ranks_both_ways, shifted_ranks


def require_definition(found: Ranks, expected: dict[int, tuple[list[int], bool]], links: np.ndarray) -> None:
    assert found.queries.tolist() == list(expected)
    listed = [[rank for rank in row if rank != NOWHERE] for row in found.linked.tolist()]
    assert list(zip(listed, found.tied.tolist(), strict=True)) == list(expected.values())
    assert found.num_links.tolist() == [int((links[:, 0] == q).sum()) for q in expected]
    assert found.ranks.tolist() == [ranks[0] for ranks, _ in expected.values()]


def require_same(found: Ranks, expected: Ranks) -> None:
    for field, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(field, wanted)


@settings(deadline=None)
@given(problem=problems())
def test_ranks_of_all_linked_items_follow_the_definition_in_both_directions(problem):
    left, right, links = problem
    one, other = ranks_both_ways(left, right, links)
    require_definition(one, slow_ranks(left, right, links), links)
    require_definition(other, slow_ranks(right, left, links[:, ::-1]), links[:, ::-1])
    for again, expected in zip(ranks_both_ways(right, left, links[:, ::-1]), (other, one), strict=True):
        require_same(again, expected)


@pytest.mark.parametrize("seed", range(3))
def test_ranks_of_unit_vectors_follow_the_definition(seed):
    left, right = unit(40, 16, seed), unit(70, 16, seed + 100)
    links = drawn_links(40, 70, 300, seed)
    one, other = ranks_both_ways(left, right, links)
    require_definition(one, slow_ranks(left, right, links), links)
    require_definition(other, slow_ranks(right, left, links[:, ::-1]), links[:, ::-1])


@settings(deadline=None)
@given(problem=problems())
def test_the_first_linked_item_is_the_most_similar_one_and_of_equals_the_first(problem):
    query, gallery, links = problem
    found = ranks_both_ways(query, gallery, links)[0]
    scores = query.numpy() @ gallery.numpy().T
    own = [sorted(links[links[:, 0] == q, 1].tolist()) for q in found.queries.tolist()]
    expected = [max(items, key=lambda item: scores[q, item]) for q, items in zip(found.queries, own, strict=True)]
    assert found.first.tolist() == expected


@settings(deadline=None)
@given(problem=problems())
def test_faiss_finds_linked_items_at_the_ranks_that_were_counted(problem):
    """Apart from ties: where an unlinked item has the same score, FAISS may put it behind."""
    query, gallery, links = problem
    exact = ranks_both_ways(query, gallery, links)[0]
    top = search_exactly(query.numpy(), gallery.numpy(), len(gallery), use_gpu=False)
    scores = query.double().numpy() @ gallery.double().numpy().T
    pairs = {tuple(link) for link in links.tolist()}
    for row, q in enumerate(exact.queries.tolist()):
        order = top.positions[q].tolist()
        assert sorted(order) == list(range(len(gallery)))
        is_linked = np.array([(q, item) in pairs for item in order])
        unlinked_scores = scores[q, order][~is_linked]
        for place, rank in zip(np.flatnonzero(is_linked)[:DEPTH], exact.linked[row], strict=False):
            tied = (unlinked_scores == scores[q, order[place]]).any()
            assert place + 1 <= rank if tied else place + 1 == rank


def test_faiss_and_the_exact_path_agree_on_unit_vectors():
    left, right, links = unit(300, 16, 0), unit(500, 16, 1), drawn_links(300, 500, 700, 0)
    for query, gallery, of in ((left, right, links), (right, left, links[:, ::-1].copy())):
        exact, _ = ranks_both_ways(query, gallery, of)
        clear = ~exact.tied
        assert clear.mean() > 0.99
        top = search_exactly(query.numpy()[exact.queries], gallery.numpy(), len(gallery), use_gpu=False)
        own = [set(of[of[:, 0] == q, 1].tolist()) for q in exact.queries.tolist()]
        places = [
            1 + next(place for place, item in enumerate(row) if item in linked)
            for row, linked in zip(top.positions.tolist(), own, strict=True)
        ]
        assert exact.ranks[clear].tolist() == np.array(places)[clear].tolist()


def test_scores_within_the_tolerance_tie_and_others_do_not():
    """Each unlinked item has a score of its own distance from that of the linked one, which is first."""
    distances = torch.tensor([0.0, 0.4, -0.4, 3.0, -3.0]) * TIE_TOLERANCE
    gallery = torch.stack([0.5 + distances, torch.ones(5)], dim=1)
    query = torch.tensor([[1.0, 0.0]])
    for items, rank, tied in (([0, 1], 2, True), ([0, 2], 2, True), ([0, 3], 2, False), ([0, 4], 1, False)):
        (found, _) = ranks_both_ways(query, gallery[items], np.array([[0, 0]]))
        assert (found.ranks.tolist(), found.tied.tolist()) == ([rank], [tied])


def test_of_more_links_than_are_looked_at_the_best_are_ranked_and_none_pushes_another_back():
    count = DEPTH + 4
    angles = torch.linspace(0, 1, 2 * count)
    gallery = torch.stack([angles.cos(), angles.sin()], dim=1)
    links = np.column_stack([np.zeros(count, dtype=int), np.arange(count) * 2 + 1])  # every other one, not the best
    (found, _) = ranks_both_ways(torch.tensor([[1.0, 0.0]]), gallery, links)
    assert found.linked.tolist() == [list(range(2, 2 * DEPTH + 1, 2))]
    assert found.num_links.tolist() == [count]
    everything = np.column_stack([np.zeros(2 * count, dtype=int), np.arange(2 * count)])
    (found, _) = ranks_both_ways(torch.tensor([[1.0, 0.0]]), gallery, everything)
    assert found.linked.tolist() == [list(range(1, DEPTH + 1))]


def test_several_linked_items_do_not_push_each_other_back():
    gallery = torch.eye(4)
    query = F.normalize(torch.tensor([[3.0, 2.0, 1.0, 0.5]]), dim=1)
    assert ranks_both_ways(query, gallery, np.array([[0, 0], [0, 1]]))[0].ranks.tolist() == [1]
    assert ranks_both_ways(query, gallery, np.array([[0, 1], [0, 2]]))[0].ranks.tolist() == [2]
    assert ranks_both_ways(query, gallery, np.array([[0, 1], [0, 3]]))[0].linked.tolist() == [[2, 4]]


def test_the_score_of_the_best_linked_item_is_kept():
    left, right, links = unit(20, 8, 0), unit(30, 8, 1), drawn_links(20, 30, 60, 0)
    scores = left.double().numpy() @ right.double().numpy().T
    is_linked = np.zeros(scores.shape, dtype=bool)
    is_linked[links[:, 0], links[:, 1]] = True
    for found, table in zip(ranks_both_ways(left, right, links), (scores, scores.T), strict=True):
        mask = is_linked if table is scores else is_linked.T
        best = np.where(mask, table, -np.inf).max(axis=1)[found.queries]
        np.testing.assert_allclose(found.best, best, atol=1e-6)


def test_working_in_pieces_gives_the_same(monkeypatch):
    left, right = unit(50, 8, 0), unit(30, 8, 1)
    links = np.column_stack([np.repeat(np.arange(50), 2), np.arange(100) % 30])
    whole = ranks_both_ways(left, right, links)
    monkeypatch.setattr(tiles, "CPU_TILE", (7, 8 * tiles.WORDS))
    monkeypatch.setattr(ranks_module, "LINKS_AT_ONCE", 9)
    for found, expected in zip(ranks_both_ways(left, right, links), whole, strict=True):
        require_same(found, expected)


@pytest.mark.parametrize("processes", [2, 5])
def test_processes_that_share_the_work_all_have_the_ranks_of_one(processes, monkeypatch):
    monkeypatch.setattr(tiles, "CPU_TILE", (9, 8 * tiles.WORDS))
    left, right, links = unit(60, 8, 0), unit(31, 8, 1), drawn_links(60, 31, 90, 0)
    alone = ranks_both_ways(left, right, links)
    for found in together(processes, lambda share: ranks_both_ways(left, right, links, share=share)):
        for one, expected in zip(found, alone, strict=True):
            require_same(one, expected)


def test_the_order_of_links_does_not_matter():
    left, right, links = unit(20, 8, 0), unit(30, 8, 1), captioned(20, 1)
    shuffled = links[np.random.default_rng(0).permutation(20)]
    for found, again in zip(ranks_both_ways(left, right, links), ranks_both_ways(left, right, shuffled), strict=True):
        require_same(found, again)


def test_a_collapsed_model_ranks_every_linked_item_last():
    same = torch.ones(12, 4) / 2
    for found in ranks_both_ways(same, same, matched(12)):
        assert (found.ranks == 12).all()
        assert found.tied.all()
    for found, rank in zip(ranks_both_ways(same[:4], same, captioned(4, 3)), (10, 4), strict=True):
        assert (found.ranks == rank).all(), "one, and all unlinked items"


def test_queries_without_links_are_left_out():
    for found in ranks_both_ways(torch.eye(3), torch.eye(3), np.array([[2, 2]])):
        assert found.queries.tolist() == [2]


@pytest.mark.parametrize("ranked", [ranks_both_ways, partial(shifted_ranks, shifts=[])])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_nan_infinity_and_missing_links_are_refused(ranked, bad):
    broken = torch.eye(3)
    broken[1, 1] = bad
    for sides in ((torch.eye(3), broken), (broken, torch.eye(3))):
        with pytest.raises(ValueError, match="embeddings hold NaN or infinity"):
            ranked(*sides, np.array([[0, 0]]))
    broken[0, 0] = -bad
    with pytest.raises(ValueError, match="embeddings hold NaN or infinity"):
        ranked(torch.eye(3), broken, np.array([[0, 0]]))
    with pytest.raises(ValueError, match="no query has a link"):
        ranked(torch.eye(3), torch.eye(3), np.empty((0, 2), dtype=np.int64))


@pytest.mark.parametrize("sizes", [(30, 50), (50, 30)])
def test_a_shift_ranks_as_one_more_column_would(sizes):
    """For some queries, and for all; each way has its own, and all shifts are ranked together."""
    sides, links = (unit(sizes[0], 8, 0), unit(sizes[1], 8, 1)), drawn_links(*sizes, 90, 0)
    numbers = [unit(1, size, size)[0].numpy() for size in sizes]
    some = [np.arange(size, dtype=np.float32) % 2 for size in sizes]
    for_some = Shift(numbers[1], some[0]), Shift(numbers[0], some[1])
    for_all = Shift(numbers[1]), Shift(numbers[0])
    found = shifted_ranks(*sides, links, [for_some, for_all])
    plain = ranks_both_ways(*sides, links)
    for shifts, both in zip((for_some, for_all), found, strict=True):
        for way, shift in enumerate(shifts):
            query, gallery = sides[way], sides[1 - way]
            asked = torch.ones(len(query)) if shift.queries is None else torch.from_numpy(shift.queries)
            wider = [
                torch.cat([query, asked[:, None]], dim=1),
                torch.cat([gallery, torch.from_numpy(shift.items)[:, None]], dim=1),
            ]
            expected, _ = ranks_both_ways(*wider, links[:, [way, 1 - way]])
            np.testing.assert_array_equal(both[way].linked, expected.linked)
            np.testing.assert_array_equal(both[way].queries, expected.queries)
            assert (both[way].ranks != plain[way].ranks).any()
