import numpy as np
import pytest
import torch

from fusemix.errors import ConfigError
from fusemix.fusion.mixup import MIXUPS
from fusemix.fusion.mixup.variants import draw_weight, halves, mix_pairs
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


def pairs_of_positives(blocks: int) -> LatentBatch:
    """Right latents are a linear image of the left ones, another one in each block."""
    left = torch.randn(12, 4)
    return LatentBatch(left, torch.cat([left * (block + 2) for block in range(blocks)]))


@pytest.mark.parametrize("name", ["per_batch", "per_pair"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_mixing_that_treats_both_sides_alike_keeps_pairs_together(name, blocks):
    augmentation = MIXUPS.build(name, {})
    mixed = augmentation.apply(pairs_of_positives(blocks), np.random.default_rng(0))
    assert augmentation.parts == 2
    assert len(mixed.left) == 6
    for block in range(blocks):
        torch.testing.assert_close(mixed.right[6 * block : 6 * block + 6], mixed.left * (block + 2))


def test_each_pair_has_a_weight_of_its_own_where_that_is_asked_for():
    batch = LatentBatch(torch.cat([torch.ones(50, 1), torch.zeros(50, 1)]), torch.zeros(100, 1))
    weights = {name: MIXUPS.build(name, {}).apply(batch, np.random.default_rng(0)).left for name in MIXUPS.names()}
    assert len(weights["per_batch"].unique()) == 1
    assert len(weights["per_pair"].unique()) == 50
    torch.testing.assert_close(weights["none"], batch.left)


def test_separate_weights_break_the_pairing():
    batch = pairs_of_positives(1)
    mixed = MIXUPS.build("separate", {}).apply(batch, np.random.default_rng(0))
    assert not torch.allclose(mixed.right, 2 * mixed.left)
    assert len(mixed.left) == 6


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_sided_mixing_leaves_the_first_half_of_the_other_side(side):
    batch = pairs_of_positives(1)
    mixed = MIXUPS.build("one_sided", {"side": side}).apply(batch, np.random.default_rng(0))
    other = "right" if side == "left" else "left"
    assert torch.equal(getattr(mixed, other), getattr(batch, other)[:6])
    assert not torch.equal(getattr(mixed, side), getattr(batch, side)[:6])


def test_noise_has_the_size_that_was_asked_for_in_units_of_the_side():
    batch = LatentBatch(5 + 3 * torch.randn(2000, 8), torch.randn(2000, 4) / 100)
    augmentation = MIXUPS.build("noise", {"std": 0.5})
    noisy = augmentation.apply(batch, np.random.default_rng(0))
    assert augmentation.parts == 1
    for before, after in zip(batch, noisy, strict=True):
        assert float((after - before).std()) == pytest.approx(0.5 * float(before.std()), rel=0.05)


@pytest.mark.parametrize("name", ["per_batch", "per_pair", "separate", "one_sided"])
def test_a_beta_distribution_that_does_not_exist_is_refused(name):
    with pytest.raises(
        ConfigError, match=r"mixup.options.alpha is 0.0, but must be above 0; mixup.name=none mixes nothing"
    ):
        MIXUPS.build(name, {"alpha": 0.0})


def test_a_pair_has_no_third_side():
    with pytest.raises(ConfigError, match="mixup.options.side is 'top', but a pair has a left and a right side"):
        MIXUPS.build("one_sided", {"side": "top"})
