import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fusemix.fusion.closed_form import canonical_maps, mapped, pair_moments
from fusemix.interfaces import LatentBatch


def linked(pairs: int = 400, noise: float = 0.5) -> LatentBatch:
    """Two sides that share three hidden factors."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    hidden = draw(pairs, 3)
    left = hidden @ draw(3, 7) + noise * draw(pairs, 7) + 5
    return LatentBatch(left, hidden @ draw(3, 5) + noise * draw(pairs, 5) - 2)


def chunks(batch: LatentBatch, size: int = 64):
    return lambda: map(LatentBatch, batch.left.split(size), batch.right.split(size))


def canonical_correlations(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """By orthonormal bases of both sides (Bjorck and Golub 1973), not by covariances."""
    one, other = (np.linalg.qr(side - side.mean(axis=0))[0] for side in (left, right))
    return np.linalg.svd(one.T @ other, compute_uv=False)


def test_mapped_sides_correlate_as_much_as_canonical_analysis_says_they_can():
    batch = linked()
    maps = canonical_maps(pair_moments(chunks(batch)), dims=5, left_ridge=1e-12, right_ridge=1e-12, power=0.0)
    left, right = (side @ found.weight.T + found.bias for side, found in zip(batch, maps, strict=True))
    n = len(left)
    torch.testing.assert_close(left.T @ left / n, torch.eye(5, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(left.mean(dim=0), torch.zeros(5, dtype=torch.float64), atol=1e-8, rtol=0)
    found = torch.diag(left.T @ right / n)
    np.testing.assert_allclose(found, canonical_correlations(batch.left.numpy(), batch.right.numpy()), atol=1e-6)


def scores_of_csa(train: LatentBatch, new: LatentBatch, dims: int) -> np.ndarray:
    """Li et al., ICLR 2025: canonical coordinates at unit length, whose products are weighed by correlations once."""
    sides, bases = [], []
    for side, rows in zip(train, new, strict=True):
        mean = side.numpy().mean(axis=0)
        basis, root = np.linalg.qr(side.numpy() - mean)
        bases.append(basis)
        sides.append((rows.numpy() - mean) @ np.linalg.inv(root))
    left, correlations, right = np.linalg.svd(bases[0].T @ bases[1])
    turned = [side @ turn[:, :dims] for side, turn in zip(sides, (left, right.T), strict=True)]
    one, other = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in turned)
    return (one * correlations[:dims]) @ other.T


def our_scores(train: LatentBatch, new: LatentBatch, dims: int, power: float) -> np.ndarray:
    maps = canonical_maps(pair_moments(chunks(train)), dims=dims, left_ridge=1e-12, right_ridge=1e-12, power=power)
    one, other = (mapped(side, found).double() for side, found in zip(new, maps, strict=True))
    return (one @ other.T).numpy()


def test_directions_are_those_of_csa_and_weights_come_before_the_length_and_not_after_it():
    batch = linked()
    train, new = (LatentBatch(*(side[some] for side in batch)) for some in (slice(300), slice(300, None)))
    maps = canonical_maps(pair_moments(chunks(train)), dims=5, left_ridge=1e-12, right_ridge=1e-12, power=0.0)
    one, other = (side @ found.weight.T + found.bias for side, found in zip(new, maps, strict=True))
    correlations = canonical_correlations(train.left.numpy(), train.right.numpy())
    scale = torch.from_numpy(correlations)
    as_csa = (F.normalize(one) * scale) @ F.normalize(other).T
    np.testing.assert_allclose(as_csa, scores_of_csa(train, new, 5), atol=1e-6)
    as_ours = F.normalize(one * scale**0.75) @ F.normalize(other * scale**0.75).T
    np.testing.assert_allclose(our_scores(train, new, 5, 0.75), as_ours, atol=1e-5)


def test_it_finds_more_than_csa_does_where_many_directions_are_noise():
    batch = linked(500, noise=1.0)
    generator = torch.Generator().manual_seed(1)
    noisy = LatentBatch(*(torch.cat([side, torch.randn(500, 20, generator=generator)], dim=1) for side in batch))
    train, new = (LatentBatch(*(side[some] for side in noisy)) for some in (slice(200), slice(200, None)))
    found = [
        (scores.argsort(axis=1)[:, -5:] == np.arange(300)[:, None]).any(axis=1).mean()
        for scores in (our_scores(train, new, 20, 0.75), scores_of_csa(train, new, 20))
    ]
    assert found[0] > 1.1 * found[1] > 5.5 / 300


def test_a_power_scales_directions_by_their_correlation():
    moments = pair_moments(chunks(linked()))
    plain, weighted = (
        canonical_maps(moments, dims=4, left_ridge=0.1, right_ridge=0.1, power=power)[0] for power in (0.0, 2.0)
    )
    scale = (weighted.weight / plain.weight).mean(dim=1).sqrt()
    torch.testing.assert_close(weighted.weight, plain.weight * scale[:, None] ** 2)
    assert (scale.diff() < 0).all()
    assert 0 < scale.min() < scale.max() <= 1


def test_a_ridge_makes_sense_of_more_dimensions_than_pairs():
    few = LatentBatch(*(side[:4] for side in linked()))
    maps = canonical_maps(pair_moments(chunks(few)), dims=5, left_ridge=1.0, right_ridge=1.0, power=1.0)
    assert all(part.isfinite().all() for found in maps for part in found)


@pytest.mark.parametrize("ridge", [0.0, 1e300])
def test_directions_that_do_not_vary_are_left_out_where_no_ridge_bears_them(ridge):
    batch = linked()
    constant = LatentBatch(torch.cat([batch.left, torch.full((400, 2), 3.0)], dim=1), batch.right)
    settings = {"dims": 4, "left_ridge": ridge, "right_ridge": ridge, "power": 1.0}
    found, plain = (canonical_maps(pair_moments(chunks(one)), **settings) for one in (constant, batch))
    assert all(part.isfinite().all() for one in found for part in one)
    torch.testing.assert_close(found[0].weight[:, :7].abs(), plain[0].weight.abs())


def test_latents_that_are_all_alike_give_finite_maps():
    alike = LatentBatch(torch.ones(50, 4, dtype=torch.float64), torch.ones(50, 3, dtype=torch.float64))
    maps = canonical_maps(pair_moments(chunks(alike)), dims=3, left_ridge=0.0, right_ridge=1.0, power=0.0)
    assert all(part.isfinite().all() for one in maps for part in one)


def test_fewer_dimensions_are_the_first_of_more():
    moments = pair_moments(chunks(linked()))
    few, many = (canonical_maps(moments, dims=dims, left_ridge=0.1, right_ridge=0.1, power=1.0)[1] for dims in (2, 5))
    torch.testing.assert_close(few.weight, many.weight[:2])
    assert len(few.bias) == 2


@pytest.mark.parametrize("size", [1, 1000])
def test_how_pairs_are_cut_does_not_matter(size):
    for one, other in zip(pair_moments(chunks(linked(), size)), pair_moments(chunks(linked())), strict=True):
        torch.testing.assert_close(one.abs(), other.abs())
