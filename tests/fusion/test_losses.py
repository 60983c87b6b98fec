import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from fusemix.fusion.losses import LOSSES, info_nce
from fusemix.fusion.losses.info_nce import symmetric_info_nce
from fusemix.interfaces import PairLoss


def unit(rows: int, dim: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(
        torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1
    )


@pytest.fixture(params=LOSSES.names())
def loss(request) -> PairLoss:
    return LOSSES.build(request.param, {})


def test_a_loss_is_what_a_loss_must_be(loss):
    assert isinstance(loss, PairLoss)


def test_the_order_of_pairs_does_not_matter(loss):
    left, right, order = unit(9, 4), unit(9, 4, 1), torch.randperm(9)
    scale = torch.tensor(10.0, dtype=torch.float64)
    torch.testing.assert_close(loss(left[order], right[order], scale), loss(left, right, scale))


def test_the_sides_are_treated_alike(loss):
    left, right, scale = unit(9, 4), unit(9, 4, 1), torch.tensor(5.0, dtype=torch.float64)
    torch.testing.assert_close(loss(left, right, scale), loss(right, left, scale))


def test_aligned_pairs_cost_less_than_shuffled_ones(loss):
    left, scale = unit(9, 4), torch.tensor(10.0, dtype=torch.float64)
    assert loss(left, left, scale) < loss(left, left.roll(1, 0), scale)


def test_gradient_reaches_both_sides_and_the_scale(loss):
    inputs = [
        unit(6, 4).requires_grad_(),
        unit(6, 4, 1).requires_grad_(),
        torch.tensor(3.0, dtype=torch.float64).requires_grad_(),
    ]
    loss(*inputs).backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in inputs)


def test_info_nce_agrees_with_a_slow_loop():
    left, right, scale = unit(5, 3), unit(5, 3, 1), 4.0
    total = 0.0
    for i in range(5):
        row = [math.exp(scale * float(left[i] @ right[j])) for j in range(5)]
        column = [math.exp(scale * float(left[j] @ right[i])) for j in range(5)]
        total -= math.log(row[i] / sum(row)) + math.log(column[i] / sum(column))
    found = symmetric_info_nce(left, right, torch.tensor(scale, dtype=torch.float64))
    assert float(found) == pytest.approx(total / 10)


def test_info_nce_of_embeddings_that_are_all_the_same_is_the_logarithm_of_the_batch():
    same = unit(1, 4).repeat(16, 1)
    assert float(symmetric_info_nce(same, same, torch.tensor(14.0, dtype=torch.float64))) == pytest.approx(math.log(16))


def whole_info_nce(left, right, scale):
    """By torch's cross-entropy over all logits at once."""
    logits, target = scale * left @ right.T, torch.arange(len(left))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@pytest.mark.parametrize(("batch", "tile"), [(1, 4), (8, 4), (11, 4), (30, 7), (12, 100)])
@pytest.mark.parametrize("scale", [1.0, 14.0, 1000.0])
def test_info_nce_in_tiles_is_that_of_all_logits_at_once(batch, tile, scale, monkeypatch):
    monkeypatch.setattr(info_nce, "TILE", tile)
    found, expected = [], []
    for loss, results in ((symmetric_info_nce, found), (whole_info_nce, expected)):
        inputs = [unit(batch, 5), unit(batch, 5, 1), torch.tensor(scale, dtype=torch.float64)]
        value = loss(*(x.requires_grad_() for x in inputs))
        results += [value.detach(), *torch.autograd.grad(3 * value, inputs)]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12 * scale)  # the gradient grows with the scale


def test_info_nce_is_computed_in_full_precision_within_mixed_precision():
    left, right, scale = unit(20, 5).float(), unit(20, 5, 1).float(), torch.tensor(14.0)
    expected = symmetric_info_nce(left, right, scale)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(symmetric_info_nce(left, right, scale), expected)
        assert symmetric_info_nce(left.bfloat16(), right.bfloat16(), scale).dtype == torch.float32


class LargestTensor(TorchDispatchMode):
    """Notes how many numbers the largest tensor had that any operation gave."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = func(*args, **(kwargs or {}))
        for x in given if isinstance(given, tuple | list) else [given]:
            self.largest = max(self.largest, x.numel() if isinstance(x, torch.Tensor) else 0)
        return given


def test_no_tensor_of_info_nce_is_larger_than_a_tile_or_the_batch(monkeypatch):
    monkeypatch.setattr(info_nce, "TILE", 16)
    left, right = unit(200, 4).requires_grad_(), unit(200, 4, 1).requires_grad_()
    with LargestTensor() as seen:
        symmetric_info_nce(left, right, torch.tensor(10.0, dtype=torch.float64)).backward()
    assert seen.largest == 200 * 4


def test_info_nce_passes_a_numerical_check_of_its_gradient():
    inputs = (
        unit(4, 3).requires_grad_(),
        unit(4, 3, 1).requires_grad_(),
        torch.tensor(2.0, dtype=torch.float64).requires_grad_(),
    )
    assert torch.autograd.gradcheck(symmetric_info_nce, inputs)
