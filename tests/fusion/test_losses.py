import math

import numpy as np
import pytest
import torch
from largest_tensor import LargestTensor
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr, softmax
from torch.nn import functional as F

from fusemix.errors import ConfigError
from fusemix.fusion.losses import LOSSES, tiles
from fusemix.fusion.losses.info_nce import InfoNCE
from fusemix.fusion.losses.sigmoid import SigmoidLoss
from fusemix.fusion.losses.structure import structure_divergence
from fusemix.interfaces import PairLoss


def unit(rows: int, dim: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(
        torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1
    )


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def naive_info_nce(left, right, scale):
    """By torch's cross-entropy over all logits at once; with several positives the mean over them."""
    logits, own = scale * left @ right.T, torch.arange(len(left))
    blocks = len(right) // len(left)
    of_rows = sum(F.cross_entropy(logits, own + block * len(left)) for block in range(blocks)) / blocks
    return (of_rows + F.cross_entropy(logits.T, own.repeat(blocks))) / 2


def naive_sigmoid(left, right, scale, bias=-10.0):
    """By torch's binary cross-entropy over all pairs at once, a left item."""
    belongs = torch.eye(len(left), dtype=left.dtype).repeat(1, len(right) // len(left))
    return F.binary_cross_entropy_with_logits(scale * left @ right.T + bias, belongs, reduction="sum") / len(left)


NAIVE = {"info_nce": naive_info_nce, "sigmoid": naive_sigmoid}


@pytest.fixture(params=LOSSES.names())
def name(request) -> str:
    return request.param


@pytest.fixture
def loss(name) -> PairLoss:
    return LOSSES.build(name, {})


def test_a_loss_is_what_a_loss_must_be(loss):
    assert isinstance(loss, PairLoss)


def test_the_order_of_pairs_does_not_matter(loss):
    left, right, order, scale = unit(9, 4), unit(9, 4, 1), torch.randperm(9), number(10)
    torch.testing.assert_close(loss(left[order], right[order], scale), loss(left, right, scale))


def test_the_sides_are_treated_alike(loss):
    left, right, scale = unit(9, 4), unit(9, 4, 1), number(5)
    torch.testing.assert_close(loss(left, right, scale), loss(right, left, scale))


def test_aligned_pairs_cost_less_than_shuffled_ones(loss):
    left, scale = unit(9, 4), number(10)
    assert loss(left, left, scale) < loss(left, left.roll(1, 0), scale)


def test_gradient_reaches_both_sides_and_the_scale(loss):
    inputs = [unit(6, 4).requires_grad_(), unit(6, 4, 1).requires_grad_(), number(3).requires_grad_()]
    loss(*inputs).backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in inputs)


@pytest.mark.parametrize(("batch", "tile"), [(1, 4), (8, 4), (11, 4), (30, 7), (12, 100)])
@pytest.mark.parametrize("scale", [1.0, 14.0, 1000.0])
@pytest.mark.parametrize("positives", [1, 3])
def test_a_loss_in_tiles_is_that_of_all_logits_at_once(name, loss, batch, tile, scale, positives, monkeypatch):
    monkeypatch.setitem(tiles.TILE, "cpu", tile)
    found, expected = [], []
    for function, results in ((loss, found), (NAIVE[name], expected)):
        inputs = [unit(batch, 5), unit(batch * positives, 5, 1), number(scale)]
        value = function(*(x.requires_grad_() for x in inputs))
        results += [value.detach(), *torch.autograd.grad(3 * value, inputs)]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12 * scale)  # the gradient grows with the scale


def test_a_loss_is_computed_in_full_precision_within_mixed_precision(loss):
    left, right, scale = unit(20, 5).float(), unit(20, 5, 1).float(), torch.tensor(14.0)
    expected = loss(left, right, scale)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(left, right, scale), expected)
        assert loss(left.bfloat16(), right.bfloat16(), scale).dtype == torch.float32


def test_a_loss_passes_a_numerical_check_of_its_gradient(loss):
    loss.double()
    inputs = (unit(4, 3).requires_grad_(), unit(8, 3, 1).requires_grad_(), number(2).requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)


def test_no_tensor_of_a_loss_is_larger_than_a_tile_or_the_batch(loss, monkeypatch):
    monkeypatch.setitem(tiles.TILE, "cpu", 16)
    left, right = unit(200, 4).requires_grad_(), unit(200, 4, 1).requires_grad_()
    with LargestTensor() as seen:
        loss(left, right, number(10)).backward()
    assert seen.largest == 200 * 4


def test_right_rows_that_are_no_multiple_of_the_left_ones_are_refused(loss):
    with pytest.raises(ValueError, match="7 right rows are no multiple of 3 left rows"):
        loss(unit(3, 4), unit(7, 4), number(1))


def test_info_nce_agrees_with_a_slow_loop():
    left, right, scale = unit(5, 3), unit(5, 3, 1), 4.0
    total = 0.0
    for i in range(5):
        row = [math.exp(scale * float(left[i] @ right[j])) for j in range(5)]
        column = [math.exp(scale * float(left[j] @ right[i])) for j in range(5)]
        total -= math.log(row[i] / sum(row)) + math.log(column[i] / sum(column))
    assert float(InfoNCE()(left, right, number(scale))) == pytest.approx(total / 10)


def test_info_nce_of_embeddings_that_are_all_the_same_is_the_logarithm_of_the_batch():
    same = unit(1, 4).repeat(16, 1)
    assert float(InfoNCE()(same, same, number(14))) == pytest.approx(math.log(16))


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing_is_that_of_torch(smoothing):
    left, right, scale = unit(9, 4).requires_grad_(), unit(9, 4, 1).requires_grad_(), number(5)
    logits, own = scale * left @ right.T, torch.arange(9)
    parts = [F.cross_entropy(side, own, label_smoothing=smoothing) for side in (logits, logits.T)]
    expected = sum(parts) / 2
    found = InfoNCE(label_smoothing=smoothing)(left, right, scale)
    torch.testing.assert_close(found, expected)
    for side in (left, right):
        torch.testing.assert_close(*(torch.autograd.grad(v, side, retain_graph=True)[0] for v in (found, expected)))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_a_share_of_the_target_that_cannot_be_spread_is_refused(smoothing):
    with pytest.raises(ConfigError, match="label_smoothing is .*, but must be at least 0 and below 1"):
        InfoNCE(label_smoothing=smoothing)


def test_the_bias_of_the_sigmoid_loss_gets_the_gradient_of_all_pairs():
    left, right, loss = unit(7, 3), unit(7, 3, 1), SigmoidLoss(bias=-2.0).double()
    bias = number(-2).requires_grad_()
    naive_sigmoid(left, right, 5, bias).backward()
    loss(left, right, number(5)).backward()
    torch.testing.assert_close(loss.bias.grad, bias.grad)


FORMS = ("jensen_shannon", "published")


def by_scipy(latents, embeddings, temperature, form):
    """Item by item; the authors' form by its formula: unit rows without their mean, and KL from the middle."""
    sides = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (latents, embeddings)]
    if form == "published":
        sides = [side - side.mean(axis=0) for side in sides]
    divergences = []
    for p, q in zip(*(softmax(side @ side.T / temperature, axis=1) for side in sides), strict=True):
        middle = (p + q) / 2
        of_them, of_middle = jensenshannon(p, q) ** 2, (rel_entr(middle, p) + rel_entr(middle, q)).sum() / 2
        divergences.append(of_middle if form == "published" else of_them)
    return np.mean(divergences)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tile", [2, 5, 100])
def test_the_structure_regulariser_is_the_divergence_that_scipy_gives(tile, form, monkeypatch):
    monkeypatch.setitem(tiles.TILE, "cpu", tile)
    latents, embeddings = 7 * unit(12, 6) + 2, unit(12, 3, 1)
    found = structure_divergence(latents, embeddings, 0.1, form)
    assert float(found) == pytest.approx(by_scipy(latents.numpy(), embeddings.numpy(), 0.1, form), rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_structure_regulariser_vanishes_where_nothing_changed_and_pulls_only_on_embeddings(form, monkeypatch):
    monkeypatch.setitem(tiles.TILE, "cpu", 3)
    latents, embeddings = unit(9, 4).requires_grad_(), unit(9, 4).requires_grad_()
    assert float(structure_divergence(latents, embeddings, 0.05, form).detach()) == pytest.approx(0, abs=1e-9)
    turned = unit(9, 4, 1).requires_grad_()
    structure_divergence(latents, turned, 0.05, form).backward()
    assert latents.grad is None
    assert turned.grad.abs().sum() > 0


@pytest.mark.parametrize("form", FORMS)
def test_no_tensor_of_the_structure_regulariser_is_larger_than_a_tile_or_the_batch(form, monkeypatch):
    monkeypatch.setitem(tiles.TILE, "cpu", 16)
    embeddings = unit(120, 4, 1).requires_grad_()
    with LargestTensor() as seen:
        structure_divergence(unit(120, 5), embeddings, 0.1, form).backward()
    assert seen.largest == 120 * 5


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_of_the_structure_regulariser_does_not_depend_on_tiles(form, monkeypatch):
    found = []
    for tile in (2, 100):
        monkeypatch.setitem(tiles.TILE, "cpu", tile)
        embeddings = unit(9, 4, 1).requires_grad_()
        structure_divergence(unit(9, 5), embeddings, 0.1, form).backward()
        found.append(embeddings.grad)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("form", FORMS)
def test_the_structure_regulariser_passes_a_numerical_check_of_its_gradient(form):
    latents, embeddings = unit(5, 4), unit(5, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: structure_divergence(latents, rows, 0.2, form), embeddings)
