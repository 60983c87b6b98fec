"""Principal axes of embeddings: cosines stay, and no other basis puts more into the first numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fusemix.fusion.rotation import principal_axes, second_moment, shortened


def unit(seed, count, width, spread=True):
    rows = torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return F.normalize(rows * torch.logspace(0, -2, width) if spread else rows, dim=-1)


def energy(rows, basis, dim):
    """Mean squared length of the first numbers in a basis."""
    return float(((rows @ basis)[:, :dim] ** 2).sum(dim=1).mean())


def random_basis(seed, width):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]


def test_cosines_are_as_they_were():
    left, right = unit(0, 50, 12), unit(1, 40, 12)
    axes = principal_axes([second_moment([left]), second_moment([right])])
    torch.testing.assert_close((left @ axes) @ (right @ axes).T, left @ right.T, atol=1e-13, rtol=0)
    torch.testing.assert_close(axes @ axes.T, torch.eye(12, dtype=torch.float64), atol=1e-13, rtol=0)


def test_a_moment_is_the_same_in_chunks_and_at_once():
    rows = unit(0, 100, 7)
    torch.testing.assert_close(second_moment([rows]), torch.from_numpy(rows.numpy().T @ rows.numpy() / 100))
    torch.testing.assert_close(second_moment(iter(rows.split(13))), second_moment([rows]))


@given(st.integers(0, 1000), st.integers(1, 8))
def test_the_first_numbers_hold_what_the_best_plane_of_an_svd_holds_and_no_basis_holds_more(seed, dim):
    rows = unit(seed, 30, 8)
    axes = principal_axes([second_moment([rows])])
    by_svd = np.linalg.svd(rows.numpy(), compute_uv=False) ** 2 / len(rows)
    assert energy(rows, axes, dim) == pytest.approx(by_svd[:dim].sum(), abs=1e-12)
    assert energy(rows, axes, dim) >= energy(rows, torch.from_numpy(random_basis(seed, 8)), dim) - 1e-12


def test_sides_count_alike_however_many_items_they_have():
    few, many = unit(0, 10, 6), unit(1, 1000, 6) @ torch.from_numpy(random_basis(3, 6))
    axes = principal_axes([second_moment([few]), second_moment([many])])
    alike = principal_axes([second_moment([torch.cat([few] * 100 + [many])])])
    torch.testing.assert_close((axes * alike).sum(dim=0).abs(), torch.ones(6, dtype=torch.float64))


def test_fewer_numbers_are_the_first_at_unit_length():
    rows = unit(0, 5, 8)
    wanted = rows.numpy()[:, :3] / np.linalg.norm(rows.numpy()[:, :3], axis=1, keepdims=True)
    np.testing.assert_allclose(shortened(rows, 3).numpy(), wanted)
    assert shortened(rows, 8) is rows
    assert shortened(torch.eye(4)[2:], 2).isfinite().all(), "nothing is left of some, and that is no NaN"
