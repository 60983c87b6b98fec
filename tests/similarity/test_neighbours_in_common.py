"""Mutual nearest neighbours: counted item by item, and what is left of them without an item."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from fusemix.fidelity.jackknife import interval_of
from fusemix.similarity.neighbours import mutual_by_chance, mutual_share, nearest_items


def drawn(items, dim, seed):
    return torch.randn(items, dim, generator=torch.Generator().manual_seed(seed))


def related(items, seed):
    left = drawn(items, 4, seed)
    return left, left @ drawn(4, 6, 90) + drawn(items, 6, seed + 1)


def share(left, right, k):
    return mutual_share(nearest_items(left, k + 1), nearest_items(right, k + 1))


def naive(left, right, k):
    sets = []
    for side in (left, right):
        side = side / side.norm(dim=1, keepdim=True)
        cosines = side @ side.T
        cosines.fill_diagonal_(-2)
        sets.append([set(row.argsort(descending=True)[:k].tolist()) for row in cosines])
    return np.mean([len(one & two) / k for one, two in zip(*sets, strict=True)])


def test_the_nearest_are_those_of_another_library():
    latents = drawn(1500, 8, 0) + 0.5
    model = NearestNeighbors(n_neighbors=8, metric="cosine", algorithm="brute").fit(latents.double().numpy())
    wanted = model.kneighbors(return_distance=False)
    assert (nearest_items(latents, 8).numpy() == wanted).mean() > 0.999


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_share_is_counted_and_without_each_item_counted_again(k):
    left, right = related(40, 3)
    found, without = share(left, right, k)
    assert found == pytest.approx(naive(left, right, k))
    rest = [torch.arange(40)[torch.arange(40) != row] for row in range(40)]
    np.testing.assert_allclose(without, [naive(left[some], right[some], k) for some in rest], atol=1e-12)


def test_latents_that_are_turned_share_all_and_unrelated_ones_what_chance_gives():
    left = drawn(300, 5, 0)
    turn = torch.linalg.qr(drawn(5, 5, 1)).Q
    assert share(left, 3 * left @ turn, 10)[0] == pytest.approx(1, abs=0.01)
    found = [share(drawn(200, 5, seed), drawn(200, 5, seed + 99), 10)[0] for seed in range(10)]
    assert np.mean(found) == pytest.approx(mutual_by_chance(10, 200), abs=0.005)


def test_intervals_cover_what_many_samples_have_on_average():
    found = [share(*related(150, seed), 5) for seed in range(0, 300, 2)]
    truth = np.mean([value for value, _ in found])
    intervals = [interval_of(value, [without]) for value, without in found]
    assert 0.9 <= np.mean([low <= truth <= high for low, high in intervals]) <= 1


def test_more_neighbours_than_there_are_others_are_refused():
    with pytest.raises(ValueError, match="5 items have no 5 others"):
        nearest_items(drawn(5, 2, 0), 5)
