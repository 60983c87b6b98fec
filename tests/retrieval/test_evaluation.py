import numpy as np
import pytest
import torch
from retrieval_samples import captioned, drawn_links, together, unit

from fusemix.retrieval import counting
from fusemix.retrieval.evaluation import (
    Fold,
    corrected_figures,
    folds_of,
    measure_folds,
    plain_figures,
    search_folds,
)
from fusemix.retrieval.hubness import inverted_softmax, query_bank
from fusemix.retrieval.metrics import figures_of, flat, measure, values_of, with_sums
from fusemix.retrieval.ranks import NOWHERE, ranks_one_way

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
    found = measure_folds(embeddings, folds_of((23, 69), links, 5), MODALITIES, KS)
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
    _, texts = measure_folds(embeddings, folds_of((23, 69), links, 5), MODALITIES, KS)
    assert (texts.ranks.queries == 1).sum() == 2
    assert texts.counts["queries"] == 69


def test_folds_with_different_numbers_of_links_keep_all_their_ranks():
    """The queries of one fold have three linked items, those of the other one."""
    links = np.concatenate([captioned(4, 3), [[4, 12], [5, 13], [6, 14], [7, 15]]])
    images, _ = measure_folds((unit(8, 4, 0), unit(16, 4, 1)), folds_of((8, 16), links, 2), MODALITIES, [1])
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
    one, other = measure_folds(embeddings, [fold], MODALITIES, KS)
    assert (one.counts["gallery"], one.counts["without_link"]) == (69, 0)
    assert (other.counts["gallery"], other.counts["without_link"]) == (23, 1)


def test_a_set_with_fewer_items_than_folds_has_empty_ones():
    folds = folds_of((2, 2), np.array([[0, 0], [1, 1]]), 5)
    assert [(len(fold.left), len(fold.right), len(fold.links)) for fold in folds] == [(1, 1, 1)] * 2 + [(0, 0, 0)] * 3


@pytest.mark.parametrize("count", [1, 5])
def test_what_is_listed_is_in_the_order_of_ranks_and_of_the_whole_set(embeddings, links, count):
    folds = folds_of((23, 69), links, count)
    directions = measure_folds(embeddings, folds, MODALITIES, KS)
    tops = search_folds(embeddings, folds, k=4, use_gpu=False)
    for direction, top, (asked, given) in zip(directions, tops, ((0, 1), (1, 0)), strict=True):
        galleries = [(fold.left, fold.right)[given] for fold in folds for _ in np.unique(fold.links[:, asked])]
        assert len(direction.ranks.queries) == len(top.positions) == len(galleries)
        for query, scores, positions, gallery in zip(direction.ranks.queries, *top, galleries, strict=True):
            cosines = embeddings[given].numpy()[gallery] @ embeddings[asked].numpy()[query]
            np.testing.assert_allclose(scores, np.sort(cosines)[::-1][:4], atol=1e-6)
            assert positions.tolist() == gallery[np.argsort(-cosines)[:4]].tolist()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("with_bank", [False, True])
def test_corrected_figures_are_means_of_folds_that_are_corrected_one_by_one(embeddings, links, count, with_bank):
    banks = (unit(11, 8, 5), unit(13, 8, 6)) if with_bank else None
    folds = folds_of((23, 69), links, count)
    found = corrected_figures(embeddings, folds, MODALITIES, KS, banks)
    parts = []
    for fold in folds:
        sides, figures = fold.of(embeddings), {}
        for name, asked, given in (("image_to_text", 0, 1), ("text_to_image", 1, 0)):
            pair = sides[asked], sides[given]
            shift = query_bank(*pair, banks[asked]) if banks else inverted_softmax(*pair)
            ranks = ranks_one_way(*pair, np.ascontiguousarray(fold.links[:, [asked, given]]), shift)
            figures |= {f"{name}/{key}": value for key, value in figures_of(ranks, values_of(ranks, KS)).items()}
        parts.append(with_sums(figures))
    assert found == pytest.approx({key: np.mean([part[key] for part in parts]) for key in parts[0]})
    assert found.keys() == plain_figures(embeddings, folds, MODALITIES, KS).keys()


def test_processes_that_share_the_work_all_have_the_figures_of_one(embeddings, links, monkeypatch):
    monkeypatch.setattr(counting, "CPU_TILE", (2, 8 * counting.WORDS))
    folds = folds_of((23, 69), links, 5)
    alone = flat(measure_folds(embeddings, folds, MODALITIES, KS))
    for found in together(3, lambda share: measure_folds(embeddings, folds, MODALITIES, KS, share=share)):
        assert flat(found) == alone


def test_progress_counts_the_items_of_the_smaller_side_of_each_fold():
    done = []
    folds = folds_of((9, 40), drawn_links(9, 40, 60, 0), 3)
    measure_folds((unit(9, 4, 0), unit(40, 4, 1)), folds, MODALITIES, [1], advance=done.append)
    assert sum(done) == sum(min(len(fold.left), len(fold.right)) for fold in folds)
    assert all(isinstance(fold, Fold) for fold in folds)
