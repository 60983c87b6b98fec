import numpy as np
import pytest
import torch
from retrieval_samples import matched, unit
from scipy.special import logsumexp, softmax
from torch.nn import functional as F

from fusemix.retrieval import tiles
from fusemix.retrieval.counting import Shift
from fusemix.retrieval.hubness import BETA, bank_over, hubness, inverted_softmax, query_bank
from fusemix.retrieval.index import search_exactly
from fusemix.retrieval.masses import Masses
from fusemix.retrieval.ranks import look_once, ranks_both_ways, shifted_ranks
from fusemix.retrieval.tiles import Block, Room, Tile


def test_occurrences_worked_out_by_hand():
    """Item 0 is found by four queries, items 1 to 3 by one each, item 4 by none."""
    found = hubness(np.array([[0, 1], [2, 0], [0, 3], [0, -1]])[:3], 5)
    assert found["largest"] == 3
    times = np.array([3, 1, 1, 1, 0])
    centred = times - times.mean()
    assert found == {
        "skewness_at_10": pytest.approx((centred**3).mean() / (centred**2).mean() ** 1.5),
        "over_retrieved": 0.0,  # 3 is below 1.2 + 2 * 0.98
        "never_retrieved": 1 / 5,
        "largest": 3,
    }


def test_an_item_that_every_query_finds_is_a_hub():
    found = np.column_stack([np.zeros(40, dtype=int), np.arange(1, 41)])
    assert hubness(found, 41)["over_retrieved"] == pytest.approx(1 / 41)
    assert hubness(found, 41)["largest"] == 40
    assert hubness(found, 41)["never_retrieved"] == 0.0
    assert hubness(found, 41)["skewness_at_10"] > 5


def test_items_that_are_found_equally_often_are_no_hubs():
    assert hubness(np.arange(30)[:, None], 30) == {
        "skewness_at_10": 0.0,
        "over_retrieved": 0.0,
        "never_retrieved": 0.0,
        "largest": 1,
    }


def test_only_the_first_ten_count():
    found = np.tile(np.arange(15), (3, 1))
    assert hubness(found, 15) == hubness(found[:, :10], 15)
    assert hubness(found, 15)["never_retrieved"] == pytest.approx(5 / 15)


def scores_of(queries: torch.Tensor, gallery: torch.Tensor) -> np.ndarray:
    return queries.double().numpy() @ gallery.double().numpy().T


def shifted(queries: torch.Tensor, gallery: torch.Tensor, shift: Shift) -> np.ndarray:
    asked = np.ones(len(queries)) if shift.queries is None else shift.queries
    return scores_of(queries, gallery) + np.outer(asked, shift.items.astype(np.float64))


def softmax_of(queries: torch.Tensor, gallery: torch.Tensor) -> Shift:
    return inverted_softmax(look_once(queries, gallery, np.array([[0, 0]]), beta=BETA).masses[1])


def bank_of(queries: torch.Tensor, gallery: torch.Tensor, bank: torch.Tensor) -> Shift:
    everyone = np.arange(len(queries))
    best = look_once(queries, gallery, np.column_stack([everyone, 0 * everyone]), depth=1).tops[0].positions[:, 0]
    return query_bank(bank_over(bank, gallery), everyone, best, len(queries))


def ranks_with(queries: torch.Tensor, gallery: torch.Tensor, links: np.ndarray, shift: Shift | None) -> np.ndarray:
    if shift is None:
        return ranks_both_ways(queries, gallery, links)[0].ranks
    other = Shift(np.zeros(len(queries), dtype=np.float32))
    return shifted_ranks(queries, gallery, links, [(shift, other)])[0][0].ranks


@pytest.mark.parametrize("tile", [None, (3, 8 * tiles.WORDS), (16, 16 * tiles.WORDS)])
@pytest.mark.parametrize("sizes", [(50, 30), (20, 2100)])
def test_masses_are_sums_over_the_other_side_whatever_the_tiles(tile, sizes, monkeypatch):
    left, right = unit(sizes[0], 8, 0), unit(sizes[1], 8, 1)
    if tile:
        monkeypatch.setattr(tiles, "CPU_TILE", tile)
    found = look_once(left, right, matched(20), beta=BETA).masses
    for axis, masses in enumerate(found):
        np.testing.assert_allclose(masses, logsumexp(BETA * scores_of(left, right), axis=1 - axis), atol=1e-5)


def test_a_bank_asks_the_gallery_once():
    bank, gallery = unit(50, 8, 0), unit(30, 8, 1)
    found, scores = bank_over(bank, gallery), scores_of(bank, gallery)
    np.testing.assert_allclose(found.masses, logsumexp(BETA * scores, axis=0), atol=1e-5)
    assert np.flatnonzero(found.is_activated).tolist() == np.unique(scores.argmax(axis=1)).tolist()


def test_a_gpu_sums_what_a_cpu_sums():
    scores, whole = unit(16, 8, 0) @ unit(30, 8, 1).T, (slice(0, 16), slice(0, 30))
    masses = Masses((16, 30), BETA)
    on_cpu = masses.from_block(Block(scores.numpy(), *whole), Room(30))
    for one, other in zip(masses.from_device(Tile(scores, *whole)), on_cpu, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def require_order(found: np.ndarray, expected: np.ndarray) -> None:
    """The same order of every row, where neighbours differ by more than rounding."""
    order = np.argsort(-expected, axis=1)
    logarithms = np.log(np.take_along_axis(expected, order, axis=1))
    gaps = -np.diff(logarithms, axis=1) / BETA
    falls = -np.diff(np.take_along_axis(found, order, axis=1), axis=1)
    np.testing.assert_allclose(falls, gaps, atol=2e-5)
    assert (gaps > 1e-3).mean() > 0.5


def test_the_inverted_softmax_ranks_by_scores_normalised_over_queries():
    queries, gallery = unit(40, 8, 0), unit(60, 8, 1)
    assert BETA == 20
    normalised = softmax(20 * scores_of(queries, gallery), axis=0)
    np.testing.assert_allclose(normalised.sum(axis=0), 1)
    shift = softmax_of(queries, gallery)
    require_order(shifted(queries, gallery, shift), normalised)
    ranks = ranks_with(queries, gallery, matched(40), shift)
    assert ranks.tolist() == [int((row >= row[q]).sum()) for q, row in enumerate(normalised)]
    assert (ranks != ranks_with(queries, gallery, matched(40), None)).any()


def test_the_query_bank_corrects_queries_whose_best_item_is_the_best_of_the_bank():
    queries, gallery, bank = unit(40, 4, 0), unit(60, 4, 1), unit(25, 4, 2)
    scores, of_bank = scores_of(queries, gallery), scores_of(bank, gallery)
    activated = set(of_bank.argmax(axis=1).tolist())
    is_corrected = np.array([best in activated for best in scores.argmax(axis=1).tolist()])
    assert 5 < is_corrected.sum() < 35, "both kinds must be there"
    positive = np.exp(BETA * scores)
    expected = np.where(is_corrected[:, None], positive / np.exp(BETA * of_bank).sum(axis=0), positive)
    shift = bank_of(queries, gallery, bank)
    require_order(shifted(queries, gallery, shift), expected)
    np.testing.assert_array_equal(shift.queries == 1, is_corrected)
    ranks = ranks_with(queries, gallery, matched(40), shift)
    assert ranks.tolist() == [int((row >= row[q]).sum()) for q, row in enumerate(expected)]


@pytest.fixture
def planted():
    """Each query lies near its item, and nearer still to item 0, which is the hub; the bank is more such queries."""
    items = torch.eye(31)
    drawn = torch.randn(90, 31, generator=torch.Generator().manual_seed(0))
    kinds = 1 + torch.arange(90) % 30
    queries = F.normalize(items[kinds] * 0.6 + items[0] * 0.8 + 0.02 * drawn, dim=1)
    return queries[:30], items, queries[30:]


def test_a_planted_hub_is_found_and_both_corrections_demote_it(planted):
    queries, gallery, bank = planted
    links = np.column_stack([np.arange(30), np.arange(1, 31)])
    found = search_exactly(queries.numpy(), gallery.numpy(), 1, use_gpu=False).positions
    assert hubness(found, 31)["largest"] == 30
    assert hubness(found, 31)["over_retrieved"] == pytest.approx(1 / 31)
    assert (ranks_with(queries, gallery, links, None) == 2).all()
    for shift in (softmax_of(queries, gallery), bank_of(queries, gallery, bank)):
        assert (ranks_with(queries, gallery, links, shift) == 1).all()
        best = shifted(queries, gallery, shift).argmax(axis=1)
        assert hubness(best[:, None], 31)["largest"] == 1


def test_a_bank_that_never_finds_the_hub_changes_nothing(planted):
    queries, gallery, _ = planted
    links = np.column_stack([np.arange(30), np.arange(1, 31)])
    corrected = ranks_with(queries, gallery, links, bank_of(queries, gallery, gallery[1:]))
    np.testing.assert_array_equal(corrected, ranks_with(queries, gallery, links, None))
