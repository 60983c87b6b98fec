"""Losses in float32, and with products rounded as a GPU's TF32 rounds them, against float64."""

import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from fusemix.fusion.losses import LOSSES, tiles
from fusemix.fusion.losses.info_nce import InfoNCE
from fusemix.interfaces import PairLoss

PRODUCTS = {torch.ops.aten.mm.default: 0, torch.ops.aten.addmm_.default: 1}
"""Matrix products that losses use, and the place of their first factor."""


class Tf32Products(TorchDispatchMode):
    """Rounds factors of products in float32 to ten bits, to the nearest, from the middle to even; sums keep theirs."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            first = PRODUCTS[func]
            args = (*args[:first], *(rounded(x) for x in args[first : first + 2]), *args[first + 2 :])
        return func(*args, **(kwargs or {}))


def rounded(values: torch.Tensor) -> torch.Tensor:
    if values.dtype != torch.float32:
        return values
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def test_the_emulation_keeps_ten_bits():
    one, step = torch.tensor([[1.0]]), 2.0**-10
    values = torch.tensor([[1 + step, 1 + step * 0.49, 1 + step * 0.5, 1 + step * 1.5]])
    with Tf32Products():
        found = one @ values
    assert found.tolist() == [[1 + step, 1, 1, 1 + step * 2]]


def dense_info_nce(left, right, scale, bias):
    """By log-sums over all logits, and, so that no digits are lost, over all but the partners."""
    logits, own = scale * left @ right.T, torch.eye(len(left), dtype=torch.bool)
    partners, others = logits.diagonal(), logits.masked_fill(own, -torch.inf)
    return sum(torch.logaddexp(others.logsumexp(dim) - partners, partners * 0).mean() for dim in (0, 1)) / 2


def dense_sigmoid(left, right, scale, bias):
    logits = scale * left @ right.T + bias
    return F.binary_cross_entropy_with_logits(logits, torch.eye(len(left)).to(logits), reduction="sum") / len(left)


DENSE = {"info_nce": dense_info_nce, "sigmoid": dense_sigmoid}


def pairs(noise: float, rows: int = 500, width: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors, whose partners are the more alike the less noise there is."""
    drawn = torch.Generator().manual_seed(0)
    left = F.normalize(torch.randn(rows, width, generator=drawn), dim=1)
    return left, F.normalize(left + noise * torch.randn(rows, width, generator=drawn) / width**0.5, dim=1)


def found(loss: PairLoss, left: torch.Tensor, right: torch.Tensor, scale: float, dtype: torch.dtype) -> list:
    """Value, and gradients of the left, the right and the scale."""
    inputs = [left.to(dtype), right.to(dtype), torch.tensor(scale, dtype=dtype)]
    value = loss(*(x.requires_grad_() for x in inputs))
    return [value.detach(), *torch.autograd.grad(value, inputs)]


def errors(values: list, exact: list) -> list[float]:
    return [float((one.double() - other).norm() / other.norm()) for one, other in zip(values, exact, strict=True)]


@pytest.fixture(params=LOSSES.names())
def name(request) -> str:
    return request.param


@pytest.mark.parametrize(("tf32", "most"), [(False, 1e-6), (True, 2**-11)])  # times the scale: of the largest logits
@pytest.mark.parametrize(
    ("scale", "noise", "size"),
    [(14.3, 3.0, 2), (14.3, 1.0, 0.1), (33.0, 1.5, 1e-2), (33.0, 0.9, 1e-5), (33.0, 0.5, 1e-8), (100.0, 1.0, 1e-6)],
)
def test_gradients_are_those_of_float64_however_small_the_loss(name, scale, noise, size, tf32, most, monkeypatch):
    monkeypatch.setitem(tiles.TILE, "cpu", 200)
    left, right = pairs(noise)
    exact = found(lambda *given: DENSE[name](*given, -10.0), left, right, scale, torch.float64)
    with Tf32Products() if tf32 else nullcontext():
        values = found(LOSSES.build(name, {}), left, right, scale, torch.float32)
    if name == "info_nce":
        assert size / 20 < exact[0] < size * 20
    assert max(errors(values, exact)) < most * scale
    assert values[0] >= 0


@pytest.mark.parametrize("scale", [14.3, 100.0, 1000.0])
@pytest.mark.parametrize("cosine", [-1.0, 0.0, 1.0])
def test_items_that_are_all_alike_cost_the_logarithm_of_the_batch_at_every_temperature(scale, cosine):
    left = torch.tensor([[1.0, 0.0]]).repeat(64, 1)
    right = torch.tensor([[cosine, math.sqrt(1 - cosine**2)]]).repeat(64, 1)
    value, *gradients = found(InfoNCE(), left, right, scale, torch.float32)
    assert float(value) == pytest.approx(math.log(64), rel=1e-5)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_both_ways_to_sum_exponentials_find_the_same(monkeypatch):
    left, right = pairs(1.0)
    at_once = found(InfoNCE(), left, right, 50.0, torch.float32)
    monkeypatch.setattr("fusemix.fusion.losses.info_nce.LARGEST_EXPONENT", 0.0)
    torch.testing.assert_close(found(InfoNCE(), left, right, 50.0, torch.float32), at_once, rtol=1e-4, atol=1e-9)


def test_bytes_that_are_moved_for_each_logit(name, monkeypatch, benchmark_module):
    monkeypatch.setitem(tiles.TILE, "cpu", 512)
    kernels = benchmark_module("kernels")
    left, right = pairs(1.0, rows=1024, width=8)
    with kernels.Kernels() as counted:
        found(LOSSES.build(name, {}), left, right, 14.3, torch.float32)
    assert kernels.alone(counted.seen, kernels.Rates()).num_bytes / 1024**2 < 62


def test_the_gradient_of_the_sigmoid_loss_does_not_fall_with_the_batch():
    """AdamW adds an eps to the root of its mean square, so gradients must not fall below it."""
    sizes = []
    for rows in (64, 1024):
        left, right = pairs(30.0, rows=rows)
        _, for_left, *_ = found(LOSSES.build("sigmoid", {}), left, right, 20.0, torch.float32)
        sizes.append(float(for_left.norm(dim=1).mean()) * rows)  # a weight's gradient sums over rows
    assert sizes[1] > sizes[0] / 2
