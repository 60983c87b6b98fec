"""Fréchet and kernel distance: against closed forms, another library, and what must not change them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from fusemix.fidelity import kernel
from fusemix.fidelity.frechet import Gaussian, frechet, frechet_distance, gaussian_of
from fusemix.fidelity.jackknife import BLOCKS, blocks_of, interval_of
from fusemix.fidelity.kernel import kernel_distance


def drawn(num: int, dim: int, seed: int, *, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    """Features whose numbers depend on one another, as those of an encoder do."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    return scale * torch.randn(num, dim, generator=generator, dtype=torch.float64) @ mix + shift


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return frechet_distance(gaussian_of(one), gaussian_of(other))


def test_two_known_gaussians_have_the_distance_of_the_closed_form():
    """Of covariances that share their axes it is the squared distance of means and of standard deviations."""
    one, other = torch.tensor([3.0, 1.0, 0.5]).double(), torch.tensor([1.0, 2.0, 0.0]).double()
    shift = torch.tensor([1.0, -2.0, 0.5]).double()
    turn = torch.linalg.qr(drawn(3, 3, 0)).Q
    found = frechet_distance(Gaussian(shift, one.diag() @ turn), Gaussian(torch.zeros(3).double(), other.diag() @ turn))
    assert found == pytest.approx(float(shift.square().sum() + (one - other).square().sum()))


@pytest.mark.parametrize(("num", "dim"), [(60, 8), (200, 30), (9, 30)])
def test_frechet_distance_is_that_of_torchmetrics(num, dim):
    one, other = drawn(num, dim, 1), drawn(num + 20, dim, 2, scale=1.4, shift=0.3)
    wanted = _compute_fid(one.mean(0), one.T.cov(), other.mean(0), other.T.cov())
    assert distance(one, other) == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize(("num", "dim"), [(40, 6), (6, 40)])
def test_equal_sets_have_no_distance_though_there_be_fewer_items_than_numbers(num, dim):
    one = drawn(num, dim, 3)
    assert distance(one, one.flip(0)) == pytest.approx(0, abs=1e-9 * float(one.square().sum()))


@given(st.integers(0, 1000), st.sampled_from([(12, 5), (7, 20)]))
def test_turning_and_shifting_both_sets_changes_nothing(seed, shape):
    one, other = drawn(*shape, seed), drawn(shape[0] + 3, shape[1], seed + 1, scale=2)
    turn = torch.linalg.qr(drawn(shape[1], shape[1], seed + 2)).Q
    assert distance(one @ turn + 5, other @ turn + 5) == pytest.approx(distance(one, other), rel=1e-8)
    assert distance(one, other) == pytest.approx(distance(other, one), rel=1e-8)


def test_more_noise_is_farther_away():
    real = drawn(300, 10, 4)
    noise = torch.randn(300, 10, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    noisy = [drawn(300, 10, 6) + level * noise for level in (0, 1, 2, 4, 8)]
    for found in ([distance(one, real) for one in noisy], [kernel_distance(one, real).distance for one in noisy]):
        assert found == sorted(found)


def test_few_pictures_are_too_far_away_and_extrapolation_takes_that_back():
    """Both sets are of one distribution, whose distance is 0."""
    biased, corrected = [], []
    for seed in range(6):
        found = frechet(drawn(120, 12, 10 + seed), drawn(120, 12, 50 + seed), seed=seed)
        biased.append(found.distance)
        corrected.append(found.unbiased)
    assert abs(np.mean(corrected)) < 0.25 * np.mean(biased)
    assert frechet(drawn(23, 12, 0), drawn(120, 12, 1)).unbiased is None


def test_the_interval_is_as_wide_as_other_draws_of_pictures_are_apart():
    found = [frechet(drawn(150, 4, seed, shift=1), drawn(150, 4, 500 + seed), seed=seed) for seed in range(40)]
    spread = np.std([one.distance for one in found], ddof=1)
    width = np.mean([one.interval[1] - one.interval[0] for one in found]) / (2 * 1.96)
    assert width == pytest.approx(spread, rel=0.35)
    assert all(one.interval[0] <= one.distance <= one.interval[1] for one in found)


def test_two_pictures_have_a_distance_and_no_interval():
    one, other = drawn(2, 5, 0), drawn(2, 5, 1)
    assert frechet(one, other).interval is None
    assert kernel_distance(one, other).interval is None


@pytest.mark.parametrize(("num", "others"), [(30, 30), (41, 23)])
def test_kernel_distance_is_the_mean_over_all_pairs_of_different_items(num, others, monkeypatch):
    monkeypatch.setattr(kernel, "TILE", 7)
    one, other = drawn(num, 6, 1).numpy(), drawn(others, 6, 2, shift=0.5).numpy()

    def mean(a, b, same):
        return np.mean([(x @ y / 6 + 1) ** 3 for i, x in enumerate(a) for j, y in enumerate(b) if not same or i != j])

    wanted = mean(one, one, True) + mean(other, other, True) - 2 * mean(one, other, False)
    assert kernel_distance(*map(torch.from_numpy, (one, other))).distance == pytest.approx(wanted)


def test_kernel_distance_is_that_of_torchmetrics():
    one, other = drawn(50, 6, 1), drawn(50, 6, 2, shift=0.5)
    assert kernel_distance(one, other).distance == pytest.approx(float(poly_mmd(other, one)))


def test_figures_without_a_block_are_those_of_the_other_items():
    one, other = drawn(45, 5, 1), drawn(52, 5, 2, shift=0.4)
    generator = np.random.default_rng(3)
    blocks = [blocks_of(len(side), generator) for side in (one, other)]
    without = [
        np.array([kernel_distance(one[blocks[0] != block], other).distance for block in range(BLOCKS)]),
        np.array([kernel_distance(one, other[blocks[1] != block]).distance for block in range(BLOCKS)]),
    ]
    found = kernel_distance(one, other, seed=3)
    assert found.interval == pytest.approx(interval_of(found.distance, without))


def test_of_a_mean_the_jackknife_gives_the_standard_error():
    values = np.random.default_rng(0).standard_normal(BLOCKS)
    without = np.array([np.delete(values, place).mean() for place in range(BLOCKS)])
    low, high = interval_of(values.mean(), [without])
    assert (high - low) / 2 == pytest.approx(1.959964 * values.std(ddof=1) / BLOCKS**0.5)
