"""Linear CKA without its bias: the formula over whole kernels, its invariances, and what it is for nothing."""

import numpy as np
import pytest
import torch

from fusemix.fidelity.jackknife import interval_of
from fusemix.similarity.cka import cka, kernel_of


def drawn(items, dim, seed):
    return torch.randn(items, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def related(items=40, seed=0):
    left = drawn(items, 7, seed)
    return left + 3, left @ drawn(7, 5, 90) + 2 * drawn(items, 5, seed + 1)


def hsic(kernel, other):
    """Song et al. 2012, equation 5, as it stands there."""
    n, ones = len(kernel), np.ones(len(kernel))
    one, two = kernel - np.diag(np.diag(kernel)), other - np.diag(np.diag(other))
    sums = ones @ one @ ones * (ones @ two @ ones) / ((n - 1) * (n - 2))
    return (np.trace(one @ two) + sums - 2 / (n - 2) * ones @ one @ two @ ones) / (n * (n - 3))


def naive(left, right):
    one, two = (side.numpy() @ side.numpy().T for side in (left, right))
    return hsic(one, two) / np.sqrt(hsic(one, one) * hsic(two, two))


def value(left, right):
    return cka(kernel_of(left), kernel_of(right))[0]


def test_it_is_the_formula_over_whole_kernels():
    left, right = related()
    assert value(left, right) == pytest.approx(naive(left, right), abs=1e-5)


def test_without_an_item_it_is_the_formula_over_the_others():
    left, right = related(15)
    rest = [np.delete(np.arange(15), row) for row in range(15)]
    wanted = [naive(left[some], right[some]) for some in rest]
    np.testing.assert_allclose(cka(kernel_of(left), kernel_of(right))[1], wanted, atol=2e-5)


def test_turns_scales_and_moves_do_not_matter():
    left, right = related()
    turn = torch.linalg.qr(drawn(7, 7, 5)).Q
    assert value(left @ turn * 100 + 50, right) == pytest.approx(value(left, right), abs=1e-4)
    assert value(left, -0.01 * left @ turn) == pytest.approx(1, abs=1e-5)


def test_wide_latents_that_have_nothing_in_common_come_to_nothing():
    found = [value(drawn(100, 800, seed), drawn(100, 500, seed + 50)) for seed in range(10)]
    assert np.mean(found) == pytest.approx(0, abs=0.03)
    one, two = drawn(100, 800, 0), drawn(100, 500, 50)
    one, two = one - one.mean(0), two - two.mean(0)
    biased = (one.T @ two).norm() ** 2 / ((one.T @ one).norm() * (two.T @ two).norm())
    assert biased > 0.8, "what the usual HSIC says of them"


def test_intervals_cover_what_many_samples_have_on_average():
    truth = np.mean([value(*related(3000, seed)) for seed in range(1000, 1006)])
    covered = 0
    for seed in range(0, 400, 2):
        found, without = cka(*map(kernel_of, related(60, seed)))
        low, high = interval_of(found, [without])
        covered += low <= truth <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="all latents are the same"):
        kernel_of(torch.ones(10, 3))
    with pytest.raises(ValueError, match="4 items are too few"):
        kernel_of(drawn(4, 3, 0))
