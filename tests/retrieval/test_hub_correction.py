"""Constants against sums written out in float64, their limits, and figures against whole matrices of scores."""

import numpy as np
import pytest
import torch

from fusemix.retrieval.evaluation import folds_of, survey_folds
from fusemix.retrieval.hub_correction import (
    NONE,
    Strength,
    beside,
    best_scores,
    constants,
    fitted_strengths,
)
from fusemix.retrieval.metrics import flat
from fusemix.retrieval.ways import figures_of_ways, survey_ways, ways_of

MODALITIES, KS = ("image", "text"), [1, 5]


def unit(rows, dim, seed):
    vectors = torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32))
    return torch.nn.functional.normalize(vectors, dim=1)


def pulled(vectors, strength):
    """Items that lie toward one place: some of a gallery, and all queries."""
    return torch.nn.functional.normalize(vectors + strength * torch.ones(vectors.shape[1]) / 8**0.5, dim=1)


@pytest.mark.parametrize("strength", [Strength(1.0, 5.0), Strength(0.7, 40.0)])
def test_constants_are_logarithms_of_means_of_exponentials(strength):
    bank, gallery = unit(70, 8, 0), unit(40, 8, 1)
    scores = bank.double().numpy() @ gallery.double().numpy().T
    wanted = strength.alpha / strength.beta * np.log(np.exp(strength.beta * scores).mean(axis=0))
    np.testing.assert_allclose(constants(bank, gallery, strength), wanted, atol=2e-6)


def test_they_go_from_the_mean_over_the_bank_to_the_largest_of_it():
    """With the whole bank for nearest neighbours, and with one, this is nearest neighbour normalisation."""
    bank, gallery = unit(30, 8, 2), unit(20, 8, 3)
    scores = (bank @ gallery.T).numpy()
    np.testing.assert_allclose(constants(bank, gallery, Strength(1.0, 1e-3)), scores.mean(axis=0), atol=1e-3)
    least = scores.max(axis=0) - np.log(30) / 50
    found = constants(bank, gallery, Strength(1.0, 50.0))
    assert ((found <= scores.max(axis=0) + 1e-5) & (found >= least - 1e-5)).all()


def test_without_strength_nothing_is_taken():
    assert not constants(unit(5, 4, 0), unit(6, 4, 1), NONE).any()


def test_one_number_more_makes_inner_products_of_corrected_scores():
    queries, gallery, taken = unit(4, 8, 0), unit(9, 8, 1), np.linspace(0, 1, 9, dtype=np.float32)
    corrected = beside(queries, np.ones(4, np.float32)) @ beside(gallery, -taken).T
    torch.testing.assert_close(corrected, queries @ gallery.T - torch.from_numpy(taken))


def test_the_strength_is_the_one_with_most_recall_of_all_that_are_tried():
    base, links = unit(60, 8, 0), np.column_stack([np.repeat(np.arange(60), 2), np.arange(120)])
    left = pulled(base, torch.linspace(0, 1.5, 60)[:, None])
    right = pulled(base[links[:, 0]] + 0.5 * unit(120, 8, 1), 1.0)
    banks = unit(200, 8, 5), pulled(unit(200, 8, 6), 1.0)
    found = fitted_strengths((left, right), links, banks, KS)
    for fitted, asked, given, pairs, bank in (
        (found[0], left, right, links, banks[0]),
        (found[1], right, left, links[:, ::-1], banks[1]),
    ):
        for strength, told in ((fitted.strength, fitted.corrected), (NONE, fitted.plain)):
            scores = (asked @ given.T).numpy() - constants(bank, given, strength)
            own = np.full(len(asked), -np.inf)
            np.maximum.at(own, pairs[:, 0], scores[pairs[:, 0], pairs[:, 1]])
            ranks = (scores > own[:, None]).sum(axis=1) + 1
            assert told == pytest.approx(sum((ranks <= k).mean() for k in KS), abs=1e-6)
        assert fitted.corrected >= fitted.plain
    assert found[1].strength.alpha > 0  # captions find pictures that lie toward all of them too often


def test_where_the_bank_says_the_same_of_every_item_nothing_is_corrected():
    left, right = unit(20, 8, 0), unit(20, 8, 1)
    links = np.column_stack([np.arange(20), np.arange(20)])
    nothing = torch.zeros(30, 8)
    found = fitted_strengths((left, right), links, (nothing, nothing), KS)
    assert [one.strength for one in found] == [NONE, NONE]


def test_ways_count_each_direction_by_its_own_scores():
    left, right = unit(12, 8, 0), unit(30, 8, 1)
    links = np.column_stack([np.arange(30) % 12, np.arange(30)])
    taken = np.linspace(0, 0.5, 30, dtype=np.float32), np.linspace(0.3, 0, 12, dtype=np.float32)
    survey = survey_ways(ways_of((left, right), taken), folds_of((12, 30), links, 1), MODALITIES, KS, depth=3)
    for direction, top, scores, pairs in zip(
        survey.directions,
        survey.tops,
        ((left @ right.T).numpy() - taken[0], (right @ left.T).numpy() - taken[1]),
        (links, links[:, ::-1]),
        strict=True,
    ):
        np.testing.assert_array_equal(top.positions, np.argsort(-scores, axis=1)[:, :3])
        own = np.full(len(scores), -np.inf)
        np.maximum.at(own, pairs[:, 0], scores[pairs[:, 0], pairs[:, 1]])
        np.testing.assert_array_equal(direction.ranks.ranks, (scores > own[:, None] + 1e-6).sum(axis=1) + 1)


def test_ways_without_constants_are_plain_figures():
    left, right = unit(12, 8, 0), unit(24, 8, 1)
    links = np.column_stack([np.repeat(np.arange(12), 2), np.arange(24)])
    folds = folds_of((12, 24), links, 2)
    plain = flat(survey_folds((left, right), folds, MODALITIES, KS).directions)
    assert figures_of_ways(ways_of((left, right), None), folds, MODALITIES, KS).items() >= plain.items()


def test_the_height_of_scores_is_the_mean_of_the_best_ones():
    queries, gallery, taken = unit(9, 8, 0), unit(14, 8, 1), np.linspace(0, 1, 14, dtype=np.float32)
    wanted = ((queries @ gallery.T).numpy() - taken).max(axis=1).mean()
    assert best_scores(queries, gallery, taken) == pytest.approx(wanted, abs=1e-6)
    alone = (gallery @ gallery.T).numpy() - taken
    np.fill_diagonal(alone, -np.inf)
    assert best_scores(gallery, gallery, taken, are_same=True) == pytest.approx(alone.max(axis=1).mean(), abs=1e-6)
