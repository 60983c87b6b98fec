import numpy as np
import pytest

from fusemix.reports.page.data import Points
from fusemix.reports.page.map import MARGIN, WIDTH, drawn_map, on_plane


def pairs(left, right):
    labels = [str(place) for place in range(len(left))]
    return Points(left, right, labels, labels, ("image", "text"))


def distances(places):
    return np.linalg.norm(places[:, None] - places[None], axis=2)


def rotation(dim, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]


def test_points_that_lie_on_a_plane_keep_all_their_distances():
    flat = np.random.default_rng(0).standard_normal((20, 2)) * [3, 1]
    lifted = flat @ rotation(7, 1)[:2] + np.arange(7)
    plane = on_plane(pairs(lifted[:10], lifted[10:]))
    np.testing.assert_allclose(distances(np.concatenate([plane.left, plane.right])), distances(flat), atol=1e-9)
    assert sum(plane.shares) == pytest.approx(1)


def test_a_rotation_of_the_space_changes_nothing():
    left, right = np.random.default_rng(2).standard_normal((2, 15, 6))
    turn = rotation(6, 3)
    plane, turned = on_plane(pairs(left, right)), on_plane(pairs(left @ turn, right @ turn))
    np.testing.assert_allclose(turned.left, plane.left, atol=1e-9)
    np.testing.assert_allclose(turned.right, plane.right, atol=1e-9)


def test_shares_are_the_two_largest_eigenvalues_of_the_covariance():
    left, right = np.random.default_rng(4).standard_normal((2, 40, 5)) * [5, 4, 3, 2, 1]
    values = np.linalg.eigvalsh(np.cov(np.concatenate([left, right]).T))[::-1]
    plane = on_plane(pairs(left, right))
    assert plane.shares == pytest.approx(tuple(values[:2] / values.sum()))
    assert np.concatenate([plane.left, plane.right]).var(axis=0, ddof=1) == pytest.approx(values[:2])


def test_one_dimension_and_equal_points_still_have_a_place():
    line = on_plane(pairs(np.array([[1.0], [2.0]]), np.array([[3.0], [6.0]])))
    np.testing.assert_allclose(np.concatenate([line.left, line.right])[:, 0], [-2, -1, 0, 3])
    assert line.shares == pytest.approx((1, 0))
    same = on_plane(pairs(np.ones((2, 3)), np.ones((2, 3))))
    assert np.abs(same.left).max() < 1e-12
    drawn = drawn_map(pairs(np.ones((2, 3)), np.ones((2, 3))))
    assert {(spot.x, spot.y) for pair in drawn.pairs for spot in pair} == {(WIDTH / 2, drawn.size[1] / 2)}


def test_the_map_has_one_scale_for_both_axes_and_room_for_all_points():
    left, right = np.random.default_rng(5).standard_normal((2, 30, 4)) * [9, 3, 1, 1]
    plane, drawn = on_plane(pairs(left, right)), drawn_map(pairs(left, right))
    places = np.array([[spot.x, spot.y] for side in zip(*drawn.pairs, strict=True) for spot in side])
    real, shown = (distances(points) for points in (np.concatenate([plane.left, plane.right]), places))
    factor = shown.max() / real.max()
    np.testing.assert_allclose(shown, factor * real, atol=0.2)
    assert places.min() >= MARGIN - 0.1
    assert (places <= np.array(drawn.size) - MARGIN + 0.1).all()
    assert [spot.label for spot, _ in drawn.pairs] == [str(place) for place in range(30)]
    assert places[plane.left[:, 1].argmax(), 1] == min(spot.y for spot, _ in drawn.pairs), "up is up"
