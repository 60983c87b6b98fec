from math import comb, log2

import numpy as np
import pytest
import torch
from retrieval_samples import captioned, drawn_links, matched
from retrieval_samples import unit as drawn
from torch.nn import functional as F

from fusemix.retrieval.metrics import (
    DEFINITIONS,
    Direction,
    average_precision,
    chance_recall_at,
    flat,
    measure,
    normalised_gain,
    values_of,
    with_sums,
)
from fusemix.retrieval.ranks import Ranks, ranks_both_ways

MODALITIES = ("image", "text")


def unit(values: list[list[float]]) -> torch.Tensor:
    return F.normalize(torch.tensor(values), dim=1)


def test_figures_of_a_case_worked_out_by_hand():
    """Two pictures with two captions each; caption 1 lies nearer to the wrong picture."""
    images = unit([[1.0, 0.0], [0.0, 1.0]])
    texts = unit([[1.0, 0.1], [0.4, 1.0], [0.1, 1.0], [0.6, 1.0]])
    links = np.array([[0, 0], [0, 1], [1, 2], [1, 3]])
    figures = flat(measure(images, texts, links, MODALITIES, ks=[1, 2]))
    # Image 0 finds its captions at 1 and 3, image 1 at 1 and 3; captions find theirs at 1, 2, 1, 1.
    precision, gain = (1 + 2 / 3) / 2, (1 + 1 / 2) / (1 + 1 / log2(3))
    assert figures == pytest.approx(
        {
            "image_to_text/recall_at_1": 1.0,
            "image_to_text/recall_at_2": 1.0,
            "image_to_text/mrr": 1.0,
            "image_to_text/map_at_10": precision,
            "image_to_text/ndcg_at_10": gain,
            "image_to_text/median_rank": 1.0,
            "image_to_text/mean_rank": 1.0,
            "text_to_image/recall_at_1": 0.75,
            "text_to_image/recall_at_2": 1.0,
            "text_to_image/mrr": 3.5 / 4,
            "text_to_image/map_at_10": 3.5 / 4,
            "text_to_image/ndcg_at_10": (3 + 1 / log2(3)) / 4,
            "text_to_image/median_rank": 1.0,
            "text_to_image/mean_rank": 1.25,
        }
    )


def by_trec(query: torch.Tensor, gallery: torch.Tensor, links: np.ndarray) -> dict[str, np.ndarray]:
    """trec_eval's values of each query that has links, in their order."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    scores = query.double().numpy() @ gallery.double().numpy().T
    judged: dict[str, dict[str, int]] = {}
    for q, item in links.tolist():
        judged.setdefault(str(q), {})[str(item)] = 1
    listed = {q: {str(item): float(score) for item, score in enumerate(scores[int(q)])} for q in judged}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"map_cut.10", "ndcg_cut.10", "recip_rank", "success.1,5,10"})
    found = evaluator.evaluate(listed)
    names = {"map_cut_10": "map_at_10", "ndcg_cut_10": "ndcg_at_10", "recip_rank": "mrr"}
    names |= {f"success_{k}": f"recall_at_{k}" for k in (1, 5, 10)}
    order = sorted(judged, key=int)
    return {ours: np.array([found[q][theirs] for q in order]) for theirs, ours in names.items()}


@pytest.mark.parametrize(("num_links", "most"), [(60, 4), (600, 30)])
def test_values_of_each_query_are_those_of_trec_eval(num_links, most):
    """It divides average precision by all links, and by no more than ten here; where ten suffice, they agree."""
    query, gallery, links = drawn(60, 12, 0), drawn(80, 12, 1), drawn_links(60, 80, num_links, 0)
    ranks, _ = ranks_both_ways(query, gallery, links)
    assert ranks.num_links.max() <= most
    assert not ranks.tied.any()
    values, expected = values_of(ranks, [1, 5, 10]), by_trec(query, gallery, links)
    few = ranks.num_links <= 10
    assert few.sum() > 20
    expected["map_at_10"] *= np.where(few, 1, ranks.num_links / 10)
    for metric, of_trec in expected.items():
        np.testing.assert_allclose(values[metric], of_trec, atol=1e-6, err_msg=metric)
        assert 0 < values[metric].mean() < 1, metric


def ranks_of(linked: list[list[int]], num_links: list[int]) -> Ranks:
    size = len(linked)
    return Ranks(
        np.arange(size),
        np.array(linked),
        np.zeros(size, dtype=bool),
        np.array(num_links),
        np.zeros(size, dtype=np.float32),
        np.zeros(size, dtype=np.int64),
    )


def test_of_more_than_ten_links_ten_can_be_found_and_no_more_are_asked_for():
    found = ranks_of([list(range(1, 11)), [2, 4, 11, 12, 13, 14, 15, 16, 17, 18]], [14, 12])
    assert average_precision(found).tolist() == pytest.approx([1.0, (1 / 2 + 2 / 4) / 10])
    ideal = sum(1 / log2(1 + r) for r in range(1, 11))
    assert normalised_gain(found).tolist() == pytest.approx([1.0, (1 / log2(3) + 1 / log2(5)) / ideal])


def test_nothing_within_ten_is_worth_nothing_and_the_tenth_still_counts():
    found = ranks_of([[11], [10]], [1, 1])
    assert average_precision(found).tolist() == [0.0, pytest.approx(1 / 10)]
    assert normalised_gain(found).tolist() == [0.0, pytest.approx(1 / log2(11))]


def test_figures_are_means_over_queries_and_the_median_is_numpys():
    for direction in measure(drawn(70, 8, 0), drawn(90, 8, 1), drawn_links(70, 90, 150, 0), MODALITIES, ks=[1, 3, 20]):
        ranks = direction.ranks.ranks
        assert direction.figures.pop("median_rank") == np.median(ranks)
        assert direction.figures == {metric: pytest.approx(v.mean()) for metric, v in direction.values.items()}
        assert direction.figures["mean_rank"] == pytest.approx(np.mean(ranks))
        assert direction.figures["mrr"] == pytest.approx(np.mean(1 / ranks))
        for k in (1, 3, 20):
            assert direction.values[f"recall_at_{k}"].tolist() == [float(rank <= k) for rank in ranks.tolist()]


def test_recall_is_a_hit_rate_not_the_share_of_linked_items_found():
    images, texts = torch.eye(5), torch.eye(5).repeat_interleave(5, dim=0)
    one, other = measure(images, texts, captioned(5, 5), MODALITIES, ks=[1])
    assert one.figures["recall_at_1"] == other.figures["recall_at_1"] == 1.0
    assert (one.counts["links"], one.counts["queries"], other.counts["queries"]) == (25, 5, 25)


def test_recall_never_falls_with_depth():
    directions = measure(drawn(40, 8, 0), drawn(40, 8, 1), matched(40), MODALITIES, ks=list(range(1, 41)))
    for direction in directions:
        recalls = [direction.figures[f"recall_at_{k}"] for k in range(1, 41)]
        assert recalls == sorted(recalls)
        assert recalls[-1] == 1.0
        assert recalls[0] < 1.0


@pytest.mark.parametrize(("num_links", "num_items", "k"), [(1, 500, 10), (5, 5000, 1), (3, 10, 9), (2, 4, 4)])
def test_chance_agrees_with_counting_draws(num_links, num_items, k):
    expected = 1 - comb(num_items - num_links, k) / comb(num_items, k)
    assert chance_recall_at(np.array([num_links] * 3), num_items, np.array([k])) == pytest.approx([expected])


def test_chance_of_queries_with_different_numbers_of_links_is_the_mean_of_theirs():
    expected = np.mean([1 - comb(20 - links, 3) / comb(20, 3) for links in (1, 4, 19)])
    assert chance_recall_at(np.array([1, 4, 19]), 20, np.array([3])) == pytest.approx([expected])


def test_random_embeddings_score_about_chance():
    for direction in measure(drawn(400, 16, 0), drawn(2000, 16, 1), captioned(400, 5), MODALITIES, ks=[10, 100]):
        for metric, chance in direction.chance.items():
            assert direction.figures[metric] == pytest.approx(
                chance, abs=4 * np.sqrt(chance / direction.counts["queries"])
            )


def test_a_collapsed_model_scores_nothing_and_says_that_all_is_tied():
    same = torch.ones(20, 8) / 8**0.5
    directions = measure(same, same, matched(20), MODALITIES, ks=[1, 5])
    figures = with_sums(flat(directions))
    assert figures["mean_recall"] == figures["recall_sum"] == 0.0
    assert figures["image_to_text/map_at_10"] == figures["image_to_text/ndcg_at_10"] == 0.0
    assert figures["image_to_text/mrr"] == pytest.approx(1 / 20)
    assert all(direction.counts["tied_queries"] == 20 for direction in directions)


def test_an_item_without_link_is_in_the_gallery_but_asks_nothing():
    links = np.array([[0, 0], [1, 1]])
    one, other = measure(torch.eye(4)[:3], torch.eye(4), links, MODALITIES, ks=[1])
    assert one.counts == {"queries": 2, "gallery": 4, "links": 2, "tied_queries": 0, "without_link": 1}
    assert other.counts == {"queries": 2, "gallery": 3, "links": 2, "tied_queries": 0, "without_link": 2}


def test_sum_and_mean_are_those_of_all_recalls_of_both_directions():
    directions = measure(torch.eye(4), torch.eye(4).roll(1, 0), matched(4), MODALITIES, ks=[1, 2, 4])
    figures = flat(directions)
    recalls = [value for key, value in figures.items() if "recall" in key]
    assert len(recalls) == 6
    assert with_sums(figures) == {**figures, "recall_sum": sum(recalls), "mean_recall": pytest.approx(sum(recalls) / 6)}


def test_flat_names_hold_the_direction():
    directions = measure(torch.eye(4), torch.eye(4), matched(4), MODALITIES, ks=[2])
    assert flat(directions, "chance") == pytest.approx(
        {"image_to_text/recall_at_2": 0.5, "text_to_image/recall_at_2": 0.5}
    )
    assert all(isinstance(direction, Direction) for direction in directions)


def test_every_metric_has_a_definition():
    directions = measure(torch.eye(4), torch.eye(4), matched(4), MODALITIES, ks=[1, 2])
    keys = {key.rpartition("/")[2] for key in with_sums(flat(directions))}
    names = {"recall_at_k" if key.startswith("recall_at_") else key for key in keys}
    assert names <= DEFINITIONS.keys()
