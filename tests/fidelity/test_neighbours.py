"""Precision, recall, density and coverage against loops; nearest pictures by cosine; intervals of shares."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from fusemix.fidelity import neighbours as module
from fusemix.fidelity.neighbours import mean_interval, nearest_by_cosine, neighbours, radii, share_interval


def drawn(num: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(num, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(module, "TILE", (5, 7))


def slow_radius(items, place, k):
    return sorted(np.linalg.norm(items[place] - other) for at, other in enumerate(items) if at != place)[k - 1]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_all_four_are_what_their_papers_say(k, scale):
    generated, reference = drawn(23, 1, scale), drawn(31, 2)
    made, real = generated.numpy(), reference.numpy()
    around, around_real = ([slow_radius(side, place, k) for place in range(len(side))] for side in (made, real))
    is_near = np.array(
        [[np.linalg.norm(a - b) <= radius for b, radius in zip(real, around_real, strict=True)] for a in made]
    )
    is_near_made = np.array(
        [[np.linalg.norm(a - b) <= radius for a, radius in zip(made, around, strict=True)] for b in real]
    )
    found = neighbours(generated, reference, k)
    assert found.precision.tolist() == is_near.any(axis=1).tolist()
    assert found.density == pytest.approx(is_near.sum(axis=1) / k)
    assert found.recall.tolist() == is_near_made.any(axis=1).tolist()
    assert found.coverage.tolist() == is_near.any(axis=0).tolist()


def test_equal_sets_are_precise_and_recalled_whole():
    same = drawn(20, 3)
    found = neighbours(same, same.clone(), 5)
    assert found.precision.all()
    assert found.recall.all()
    assert found.coverage.all()
    assert found.density.mean() > 0.9


def test_sets_far_apart_have_nothing_in_common():
    found = neighbours(drawn(20, 3), drawn(20, 4) + 100, 5)
    assert not (found.precision.any() or found.recall.any() or found.coverage.any() or found.density.any())


def test_one_picture_again_and_again_is_precise_but_covers_little():
    reference = drawn(60, 5)
    found = neighbours(reference[:1].expand(40, 4) + 1e-6 * drawn(40, 6), reference, 5)
    assert found.precision.all()
    assert found.coverage.mean() < 0.5
    assert found.recall.mean() < 0.1


def test_a_set_must_have_more_items_than_k():
    with pytest.raises(ValueError, match="k=5, but 5 items have 4 others each"):
        radii(drawn(5, 0), 5)


@pytest.mark.parametrize("are_same", [False, True])
def test_the_nearest_by_cosine_is_the_highest_product_of_unit_vectors(are_same):
    one = drawn(23, 7)
    other = one if are_same else drawn(31, 8)
    unit, others = (side.numpy() / np.linalg.norm(side.numpy(), axis=1)[:, None] for side in (one, other))
    cosines = unit @ others.T
    if are_same:
        np.fill_diagonal(cosines, -2)
    found = nearest_by_cosine(one, other, are_same=are_same)
    assert found.cosines == pytest.approx(cosines.max(axis=1))
    assert found.places.tolist() == cosines.argmax(axis=1).tolist()


@pytest.mark.parametrize(("hits", "num"), [(0, 20), (7, 20), (20, 20), (1, 2)])
def test_the_interval_of_a_share_is_that_of_scipy(hits, num):
    wanted = binomtest(hits, num).proportion_ci(method="wilson")
    assert share_interval(np.arange(num) < hits) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_the_interval_of_a_mean_is_of_its_standard_error():
    assert mean_interval(np.array([1.0, 2.0, 3.0, 2.0])) == pytest.approx((2 - 0.80015, 2 + 0.80015), abs=1e-4)
    assert mean_interval(np.array([0.0, 0.0, 0.4]))[0] == 0
