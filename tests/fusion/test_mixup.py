import numpy as np
import pytest
import torch

from fusemix.fusion.mixup import draw_weight, halves, mix_pairs
from fusemix.interfaces import LatentBatch

BATCH = LatentBatch(torch.randn(12, 4), torch.randn(12, 7))


def test_halves_keep_the_order():
    first, second = halves(BATCH)
    assert torch.equal(torch.cat([first.left, second.left]), BATCH.left)
    assert torch.equal(torch.cat([first.right, second.right]), BATCH.right)


def test_an_odd_number_of_pairs_cannot_be_halved():
    with pytest.raises(ValueError, match="3 pairs cannot be halved"):
        halves(LatentBatch(torch.randn(3, 2), torch.randn(3, 2)))


def test_both_sides_blend_with_the_same_partner_and_weight():
    """If right is a linear image of left, mixing must not break that."""
    mapping = torch.randn(4, 9)
    first, second = halves(LatentBatch(BATCH.left, BATCH.left @ mapping))
    mixed = mix_pairs(first, second, weight=0.3)
    torch.testing.assert_close(mixed.right, mixed.left @ mapping)


def test_the_ends_give_one_half_unchanged():
    first, second = halves(BATCH)
    for weight, half in ((1.0, first), (0.0, second)):
        assert all(torch.equal(a, b) for a, b in zip(mix_pairs(first, second, weight=weight), half, strict=True))


def test_mixing_agrees_with_a_slow_loop():
    first, second = halves(BATCH)
    mixed = mix_pairs(first, second, weight=0.25)
    for row in range(6):
        expected = 0.25 * BATCH.left[row] + 0.75 * BATCH.left[row + 6]
        torch.testing.assert_close(mixed.left[row], expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_have_the_mean_and_variance_of_the_beta_distribution(alpha):
    generator = np.random.default_rng(0)
    weights = np.array([draw_weight(alpha, generator) for _ in range(20_000)])
    assert weights.mean() == pytest.approx(0.5, abs=0.01)
    assert weights.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
