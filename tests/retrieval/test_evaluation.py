import numpy as np
import pytest
import torch
from retrieval_samples import captioned, drawn_links, together, unit
from torch.utils._python_dispatch import TorchDispatchMode

from fusemix.retrieval import evaluation, tiles
from fusemix.retrieval.evaluation import (
    Fold,
    corrected_figures,
    folds_of,
    listed,
    plain_figures,
    survey_folds,
)
from fusemix.retrieval.metrics import flat, measure, with_sums
from fusemix.retrieval.ranks import NOWHERE

MODALITIES = ("image", "text")
KS = [1, 3]


@pytest.fixture
def embeddings():
    """23 pictures with three captions each, which lie near them."""
    left = unit(23, 8, 0)
    right = torch.nn.functional.normalize(left.repeat_interleave(3, dim=0) + 0.7 * unit(69, 8, 1), dim=1)
    return left, right


@pytest.fixture
def links():
    """One caption of the first fold belongs to a picture of the last, too; another has no picture at all."""
    links = captioned(23, 3)
    return np.concatenate([links[links[:, 1] != 30], [[22, 1]]])


def by_hand(embeddings, links, count=5):
    """Left positions, right positions and links of each fold, one item at a time."""
    left_count = len(embeddings[0])
    sizes = [left_count // count + (part < left_count % count) for part in range(count)]
    made, start = [], 0
    for size in sizes:
        left = list(range(start, start + size))
        pairs = sorted((a, b) for a, b in links.tolist() if a in left)
        right = sorted({b for _, b in pairs})
        made.append((left, right, np.array([(left.index(a), right.index(b)) for a, b in pairs])))
        start += size
    return made


def test_folds_are_equal_parts_of_the_left_with_what_is_linked_to_them(embeddings, links):
    folds = folds_of((23, 69), links, 5)
    assert [len(fold.left) for fold in folds] == [5, 5, 5, 4, 4]
    for fold, (left, right, pairs) in zip(folds, by_hand(embeddings, links), strict=True):
        assert (fold.left.tolist(), fold.right.tolist()) == (left, right)
        assert sorted(fold.links.tolist()) == pairs.tolist()
    assert 1 in folds[0].right
    assert 1 in folds[4].right, "an item that two folds are linked to is in both"
    assert not any(30 in fold.right for fold in folds)


def test_five_folds_are_five_evaluations_and_their_figures_are_means(embeddings, links):
    found = survey_folds(embeddings, folds_of((23, 69), links, 5), MODALITIES, KS).directions
    parts = []
    for left, right, pairs in by_hand(embeddings, links):
        parts.append((left, right, measure(embeddings[0][left], embeddings[1][right], pairs, MODALITIES, KS)))
    for side, direction in enumerate(found):
        alone = [directions[side] for _, _, directions in parts]
        assert direction.name == alone[0].name
        for field in ("figures", "chance"):
            means = {key: np.mean([getattr(each, field)[key] for each in alone]) for key in getattr(direction, field)}
            assert getattr(direction, field) == pytest.approx(means)
        for key in ("queries", "links", "tied_queries", "without_link"):
            assert direction.counts[key] == sum(each.counts[key] for each in alone)
        assert direction.counts["gallery"] == sum(each.counts["gallery"] for each in alone) // 5
        for metric, values in direction.values.items():
            np.testing.assert_array_equal(values, np.concatenate([each.values[metric] for each in alone]))
        positions = [np.array(part[side])[each.ranks.queries] for part, each in zip(parts, alone, strict=True)]
        np.testing.assert_array_equal(direction.ranks.queries, np.concatenate(positions))
        np.testing.assert_array_equal(direction.ranks.ranks, np.concatenate([each.ranks.ranks for each in alone]))
        assert len(direction.ranks.linked) == len(direction.ranks.best) == len(direction.ranks.tied)
        assert direction.ranks.num_links.sum() == direction.counts["links"]


def test_an_item_of_two_folds_asks_in_both(embeddings, links):
    _, texts = survey_folds(embeddings, folds_of((23, 69), links, 5), MODALITIES, KS).directions
    assert (texts.ranks.queries == 1).sum() == 2
    assert texts.counts["queries"] == 69


def test_folds_with_different_numbers_of_links_keep_all_their_ranks():
    """The queries of one fold have three linked items, those of the other one."""
    links = np.concatenate([captioned(4, 3), [[4, 12], [5, 13], [6, 14], [7, 15]]])
    images, _ = survey_folds((unit(8, 4, 0), unit(16, 4, 1)), folds_of((8, 16), links, 2), MODALITIES, [1]).directions
    assert images.ranks.linked.shape == (8, 3)
    assert (images.ranks.linked[4:, 1:] == NOWHERE).all()
    assert (images.ranks.linked[:4] != NOWHERE).all()


def test_figures_of_folds_differ_from_those_of_the_whole(embeddings, links):
    whole = plain_figures(embeddings, folds_of((23, 69), links, 1), MODALITIES, KS)
    folds = plain_figures(embeddings, folds_of((23, 69), links, 5), MODALITIES, KS)
    assert whole["recall_sum"] < folds["recall_sum"], "galleries of folds are smaller"
    assert whole == with_sums(flat(measure(*embeddings, links, MODALITIES, KS)))


def test_the_whole_is_one_fold_and_is_not_copied(embeddings, links):
    (fold,) = folds_of((23, 69), links, 1)
    assert (len(fold.left), len(fold.right)) == (23, 69), "with the caption that has no picture"
    assert fold.of(embeddings) is embeddings
    parts = folds_of((23, 69), links, 5)[1].of(embeddings)
    assert torch.equal(parts[0], embeddings[0][5:10])
    one, other = survey_folds(embeddings, [fold], MODALITIES, KS).directions
    assert (one.counts["gallery"], one.counts["without_link"]) == (69, 0)
    assert (other.counts["gallery"], other.counts["without_link"]) == (23, 1)


def test_a_set_with_fewer_items_than_folds_has_empty_ones():
    folds = folds_of((2, 2), np.array([[0, 0], [1, 1]]), 5)
    assert [(len(fold.left), len(fold.right), len(fold.links)) for fold in folds] == [(1, 1, 1)] * 2 + [(0, 0, 0)] * 3


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("by_faiss", [False, True])
def test_what_is_listed_is_in_the_order_of_ranks_and_of_the_whole_set(embeddings, links, count, by_faiss, monkeypatch):
    folds = folds_of((23, 69), links, count)
    if by_faiss:
        monkeypatch.setattr(evaluation, "LISTED", 3)
    survey = survey_folds(embeddings, folds, MODALITIES, KS, depth=4)
    tops = listed(survey, embeddings, 4, use_gpu=False)
    assert survey.tops[0].scores.shape[1] == (1 if by_faiss else 4)
    for direction, top, (asked, given) in zip(survey.directions, tops, ((0, 1), (1, 0)), strict=True):
        galleries = [(fold.left, fold.right)[given] for fold in folds for _ in np.unique(fold.links[:, asked])]
        assert len(direction.ranks.queries) == len(top.positions) == len(galleries)
        for query, scores, positions, gallery in zip(direction.ranks.queries, *top, galleries, strict=True):
            cosines = embeddings[given].numpy()[gallery] @ embeddings[asked].numpy()[query]
            np.testing.assert_allclose(scores, np.sort(cosines)[::-1][:4], atol=1e-6)
            assert positions.tolist() == gallery[np.argsort(-cosines)[:4]].tolist()


def slow_figures(scores: np.ndarray, links: np.ndarray) -> dict[str, float]:
    """Recall and mean rank of one direction in float64, by sorting; nothing ties."""
    first = [
        min(np.flatnonzero(np.isin(np.argsort(-scores[query]), links[links[:, 0] == query, 1])) + 1)
        for query in np.unique(links[:, 0])
    ]
    return {**{f"recall_at_{k}": np.mean(np.array(first) <= k) for k in KS}, "mean_rank": np.mean(first)}


def softmax_scores(scores: np.ndarray, bank: np.ndarray | None) -> np.ndarray:
    """Corrected by the definition: a query's scores over the sums of a bank's (all queries' own without one)."""
    positive, of_bank = np.exp(20 * scores), np.exp(20 * (scores if bank is None else bank))
    corrected = positive / of_bank.sum(axis=0)
    if bank is None:
        return corrected
    activated = np.isin(scores.argmax(axis=1), bank.argmax(axis=1))
    return np.where(activated[:, None], corrected, positive)


@pytest.mark.parametrize("count", [1, 3])
def test_corrected_figures_are_means_of_folds_that_are_corrected_one_by_one(embeddings, links, count):
    banks = unit(11, 8, 5), unit(13, 8, 6)
    survey = survey_folds(embeddings, folds_of((23, 69), links, count), MODALITIES, KS, depth=2, with_masses=True)
    found = corrected_figures(embeddings, survey, MODALITIES, KS, banks)
    assert list(found) == ["inverted_softmax", "query_bank"]
    for name, figures in found.items():
        assert figures.keys() == plain_figures(embeddings, survey.folds, MODALITIES, KS).keys()
        for direction, asked, given in (("image_to_text", 0, 1), ("text_to_image", 1, 0)):
            parts = []
            for fold in survey.folds:
                sides = [side.double().numpy() for side in fold.of(embeddings)]
                bank = banks[asked].double().numpy() @ sides[given].T if name == "query_bank" else None
                scores = softmax_scores(sides[asked] @ sides[given].T, bank)
                parts.append(slow_figures(scores, fold.links[:, [asked, given]]))
            for metric in parts[0]:
                assert figures[f"{direction}/{metric}"] == pytest.approx(np.mean([part[metric] for part in parts]))
    alone = corrected_figures(embeddings, survey, MODALITIES, KS)
    assert alone == {"inverted_softmax": found["inverted_softmax"]}


class Products(TorchDispatchMode):
    """Counts the multiplications of all matrix products."""

    multiplications = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in ("mm", "addmm", "bmm", "matmul"):
            one, other = args[-2:]
            self.multiplications += one.shape[0] * one.shape[1] * other.shape[1]
        return func(*args, **(kwargs or {}))


def test_ranks_lists_and_masses_take_one_product_and_all_corrections_another(monkeypatch):
    """And a bank one more, with each gallery."""
    monkeypatch.setattr(tiles, "CPU_TILE", (32, 8 * tiles.WORDS))
    embeddings, links, banks = (unit(70, 8, 0), unit(140, 8, 1)), captioned(70, 2), (unit(9, 8, 5), unit(11, 8, 6))
    with Products() as first:
        survey = survey_folds(embeddings, folds_of((70, 140), links, 1), MODALITIES, KS, depth=10, with_masses=True)
        listed(survey, embeddings, 10, use_gpu=False)
    assert first.multiplications == 70 * 140 * 8
    for given, extra in ((None, 0), (banks, (9 * 140 + 11 * 70) * 8)):
        with Products() as second:
            corrected_figures(embeddings, survey, MODALITIES, KS, given)
        assert second.multiplications == 70 * 140 * 8 + extra


def test_processes_that_share_the_work_all_have_the_figures_of_one(embeddings, links, monkeypatch):
    monkeypatch.setattr(tiles, "CPU_TILE", (2, 8 * tiles.WORDS))
    folds = folds_of((23, 69), links, 5)
    alone = flat(survey_folds(embeddings, folds, MODALITIES, KS).directions)
    for found in together(3, lambda share: survey_folds(embeddings, folds, MODALITIES, KS, share=share).directions):
        assert flat(found) == alone


def test_progress_counts_the_items_of_the_smaller_side_of_each_fold():
    done = []
    folds = folds_of((9, 40), drawn_links(9, 40, 60, 0), 3)
    survey_folds((unit(9, 4, 0), unit(40, 4, 1)), folds, MODALITIES, [1], advance=done.append)
    assert sum(done) == sum(min(len(fold.left), len(fold.right)) for fold in folds)
    assert all(isinstance(fold, Fold) for fold in folds)
