import numpy as np
import pytest
import torch

from fusemix.fusion.closed_form import canonical_maps, pair_moments
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
