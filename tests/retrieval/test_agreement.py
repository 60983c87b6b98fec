"""How pictures agree with their queries, against a loop, at both ends, and under shuffling."""

import numpy as np
import pytest

from fusemix.retrieval import agreement as module
from fusemix.retrieval.agreement import agreement


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((rows, dim))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


OWNERS = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5])


def test_figures_are_those_of_a_loop(monkeypatch):
    monkeypatch.setattr(module, "SCORES_AT_ONCE", 20)
    pictures, queries = unit(10, 8, 0), unit(6, 8, 1)
    found = agreement(pictures, queries, OWNERS)
    pairs = list(zip(pictures.astype(float), OWNERS, strict=True))
    own = [a @ queries[mine] for a, mine in pairs]
    others = [np.mean([a @ q for at, q in enumerate(queries) if at != mine]) for a, mine in pairs]
    nearest = [int(np.argmax(queries @ a) == mine) for a, mine in pairs]
    assert found.cosines == pytest.approx(own, abs=1e-6)
    wanted = {"cosine": np.mean(own), "own_nearest": np.mean(nearest), "above_others": np.mean(own) - np.mean(others)}
    assert found.figures == pytest.approx(wanted, abs=1e-6)
    assert found.chance == pytest.approx({"cosine": np.mean(others), "own_nearest": 1 / 6, "above_others": 0}, abs=1e-6)
    assert found.counts == {"pictures": 10, "queries": 6}


def test_chance_is_what_shuffled_pairs_give_on_average():
    pictures, queries = unit(40, 6, 2), unit(40, 6, 3)
    pictures = pictures + queries
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    found = agreement(pictures, queries, np.arange(40))
    shuffled = [agreement(pictures, queries, np.roll(np.arange(40), by)).figures["cosine"] for by in range(1, 40)]
    assert found.chance["cosine"] == pytest.approx(np.mean(shuffled), abs=1e-9)
    assert found.figures["own_nearest"] > 10 * found.chance["own_nearest"]


def test_pictures_that_are_their_queries_agree_wholly():
    queries = unit(6, 8, 4)
    found = agreement(queries[OWNERS], queries, OWNERS)
    assert found.figures["cosine"] == pytest.approx(1, abs=1e-6)
    assert found.figures["own_nearest"] == 1
    assert found.intervals["own_nearest"] == (1, 1)


def test_a_query_that_ties_with_another_has_not_won():
    queries = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = agreement(np.array([[2**-0.5, 2**-0.5], [0.0, 1.0]]), queries, np.array([0, 1]))
    assert found.figures["own_nearest"] == 0.5


def test_one_query_has_nothing_to_be_told_from():
    found = agreement(unit(4, 8, 5), unit(1, 8, 6), np.zeros(4, dtype=np.int64))
    assert found.figures.keys() == {"cosine"}
    assert (found.intervals, found.chance) == ({}, {})


def test_intervals_are_as_wide_as_other_queries_would_make_figures_differ():
    """All pictures of a query are alike, so that only the number of queries counts."""
    owners, found = np.repeat(np.arange(30), 4), []
    for seed in range(60):
        queries = unit(30, 5, seed)
        blend = queries + np.random.default_rng(seed).normal(0, 0.7, (30, 1)) * unit(30, 5, 1000 + seed)
        blend /= np.linalg.norm(blend, axis=1, keepdims=True)
        found.append(agreement(blend[owners], queries, owners, seed=seed))
    spread = np.std([one.figures["cosine"] for one in found], ddof=1)
    width = np.mean([np.subtract(*one.intervals["cosine"][::-1]) for one in found]) / (2 * 1.96)
    assert width == pytest.approx(spread, rel=0.3)
