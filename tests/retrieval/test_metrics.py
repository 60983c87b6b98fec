from math import comb

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fusemix.retrieval.metrics import (
    DEFINITIONS,
    chance_recall_at_k,
    flat,
    mean_recall,
    measure,
    recall_at_k,
)

MODALITIES = ("image", "text")


def unit(values: list[list[float]]) -> torch.Tensor:
    return F.normalize(torch.tensor(values), dim=1)


def test_figures_of_a_case_worked_out_by_hand():
    """Two pictures with two captions each; caption 1 lies nearer to the wrong picture."""
    images = unit([[1.0, 0.0], [0.0, 1.0]])
    texts = unit([[1.0, 0.1], [0.4, 1.0], [0.1, 1.0], [0.6, 1.0]])
    links = np.array([[0, 0], [0, 1], [1, 2], [1, 3]])
    figures = flat(measure(images, texts, links, MODALITIES, ks=[1, 2]))
    assert figures == {
        "image_to_text/recall_at_1": 1.0,
        "image_to_text/recall_at_2": 1.0,
        "image_to_text/median_rank": 1.0,
        "image_to_text/mean_rank": 1.0,
        "text_to_image/recall_at_1": 0.75,
        "text_to_image/recall_at_2": 1.0,
        "text_to_image/median_rank": 1.0,
        "text_to_image/mean_rank": 1.25,
    }


def test_recall_is_a_hit_rate_not_the_share_of_linked_items_found():
    images, texts = torch.eye(5), torch.eye(5).repeat_interleave(5, dim=0)
    links = np.column_stack([np.repeat(np.arange(5), 5), np.arange(25)])
    one, other = measure(images, texts, links, MODALITIES, ks=[1])
    assert one.figures["recall_at_1"] == other.figures["recall_at_1"] == 1.0
    assert (one.counts["links"], one.counts["queries"], other.counts["queries"]) == (25, 5, 25)


def test_recall_never_falls_with_depth():
    ranks = np.random.default_rng(0).integers(1, 100, size=500)
    recalls = [recall_at_k(ranks, k) for k in range(1, 101)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1.0
    assert recalls[9] == sum(r <= 10 for r in ranks.tolist()) / 500


@pytest.mark.parametrize(("num_links", "num_items", "k"), [(1, 500, 10), (5, 5000, 1), (3, 10, 9), (2, 4, 4)])
def test_chance_agrees_with_counting_draws(num_links, num_items, k):
    expected = 1 - comb(num_items - num_links, k) / comb(num_items, k)
    assert chance_recall_at_k(np.array([num_links] * 3), num_items, k) == pytest.approx(expected)


def test_random_embeddings_score_about_chance():
    generator = torch.Generator().manual_seed(0)
    left = F.normalize(torch.randn(400, 16, generator=generator), dim=1)
    right = F.normalize(torch.randn(2000, 16, generator=generator), dim=1)
    links = np.column_stack([np.repeat(np.arange(400), 5), np.arange(2000)])
    for direction in measure(left, right, links, MODALITIES, ks=[10, 100]):
        for metric, chance in direction.chance.items():
            assert direction.figures[metric] == pytest.approx(
                chance, abs=4 * np.sqrt(chance / direction.counts["queries"])
            )


def test_a_collapsed_model_scores_nothing_and_says_that_all_is_tied():
    same = torch.ones(20, 8) / 8**0.5
    directions = measure(same, same, np.column_stack([np.arange(20)] * 2), MODALITIES, ks=[1, 5])
    assert mean_recall(directions) == 0.0
    assert all(direction.counts["tied_queries"] == 20 for direction in directions)


def test_an_item_without_link_is_in_the_gallery_but_asks_nothing():
    links = np.array([[0, 0], [1, 1]])
    one, other = measure(torch.eye(3), torch.eye(3), links, MODALITIES, ks=[1])
    assert one.counts == other.counts == {"queries": 2, "gallery": 3, "links": 2, "tied_queries": 0}


def test_the_mean_of_recalls_is_the_mean_of_all_recalls_of_both_directions():
    directions = measure(
        torch.eye(4), torch.eye(4).roll(1, 0), np.column_stack([np.arange(4)] * 2), MODALITIES, ks=[1, 4]
    )
    recalls = [value for key, value in flat(directions).items() if "recall" in key]
    assert len(recalls) == 4
    assert mean_recall(directions) == pytest.approx(sum(recalls) / 4)


def test_every_metric_has_a_definition():
    directions = measure(torch.eye(4), torch.eye(4), np.column_stack([np.arange(4)] * 2), MODALITIES, ks=[1, 2])
    names = {"recall_at_k" if m.startswith("recall_at_") else m for d in directions for m in d.figures}
    assert names <= DEFINITIONS.keys()
