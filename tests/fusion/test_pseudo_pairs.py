"""Soft partners against Sinkhorn on the whole matrix."""

import numpy as np
import pytest
import torch

from fusemix.fusion import pseudo_pairs
from fusemix.fusion.closed_form import Weighted, pair_moments
from fusemix.fusion.pseudo_pairs import potentials, soft_partners
from fusemix.interfaces import LatentBatch

TEMPERATURE, ROUNDS, BEST = 0.1, 4, 3


def unit(rows, seed, dim=6):
    vectors = np.random.default_rng(seed).standard_normal((rows, dim))
    return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def plan(left, right):
    """Sinkhorn in float64, on the whole matrix, with no logarithm."""
    shared = np.exp((left @ right.T).numpy() / TEMPERATURE)
    for _ in range(ROUNDS):
        shared = shared / shared.sum(axis=1, keepdims=True)
        shared = shared / shared.sum(axis=0, keepdims=True)
    return shared


@pytest.fixture(autouse=True)
def a_few_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(pseudo_pairs, "ROWS_AT_ONCE", 7)


def test_potentials_make_sinkhorns_plan_without_its_matrix():
    left, right = unit(17, 0), unit(23, 1)
    even = potentials(left, right, TEMPERATURE, ROUNDS)
    found = (left @ right.T / TEMPERATURE - even.rows[:, None] - even.columns).exp()
    np.testing.assert_allclose(found, plan(left, right), rtol=1e-9)


def test_a_soft_partner_is_the_mean_of_the_best_few_by_their_shares():
    left, right = unit(17, 0), unit(23, 1)
    latents = torch.from_numpy(np.random.default_rng(2).standard_normal((23, 4)))
    even = potentials(left, right, TEMPERATURE, ROUNDS)
    found = soft_partners(left, right, even, latents, TEMPERATURE, BEST)
    for row, shares in enumerate(plan(left, right)):
        best = np.argsort(-shares)[:BEST]
        np.testing.assert_allclose(found[row], shares[best] @ latents.numpy()[best] / shares[best].sum(), rtol=1e-9)


def test_the_other_side_is_asked_by_the_same_plan_turned():
    left, right = unit(17, 0), unit(23, 1)
    latents = torch.eye(17, dtype=torch.float64)
    even = potentials(left, right, TEMPERATURE, ROUNDS)
    found = soft_partners(right, left, even.turned(), latents, TEMPERATURE, 17)
    np.testing.assert_allclose(found, plan(left, right).T, rtol=1e-9)


def test_a_hub_is_not_everybodys_partner():
    """One right item lies nearest to all left ones; it shares itself out, and most find another."""
    left = torch.nn.functional.normalize(unit(40, 0) + 2 * unit(1, 9), dim=1)
    right = torch.cat([unit(1, 9), left + 1.5 * unit(40, 3)])
    right = torch.nn.functional.normalize(right, dim=1)
    assert ((left @ right.T).argmax(dim=1) == 0).double().mean() > 0.2
    found = soft_partners(left, right, potentials(left, right, TEMPERATURE, ROUNDS), torch.eye(41).double(), best=1)
    assert found[:, 0].mean() < 0.1


def test_weighted_pairs_count_as_if_they_were_there_more_often():
    one, more = (LatentBatch(unit(20, seed), unit(20, seed + 10, 5)) for seed in (0, 1))
    both = LatentBatch(*(torch.cat([a, b, b]) for a, b in zip(one, more, strict=True)))
    weighted = pair_moments(lambda: [one], Weighted(lambda: [more], 2.0))
    for found, wanted in zip(weighted, pair_moments(lambda: [both]), strict=True):
        torch.testing.assert_close(found.abs(), wanted.abs())  # a direction may point either way
