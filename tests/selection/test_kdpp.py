import numpy as np
import pytest
import torch

from fusemix.selection.clusters import clustered
from fusemix.selection.kdpp import most_diverse
from fusemix.selection.kernel import kernel
from fusemix.selection.parts import most_diverse_by_parts
from fusemix.selection.screen import HEAD


def crowd(num: int, dim: int, centres: int = 12, seed: int = 0) -> torch.Tensor:
    """Unit vectors round some centres, some of them crowded, as latents are."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randn(centres, dim, generator=generator)
    which = (torch.rand(num, generator=generator) ** 2 * centres).long()
    rows = middle[which] + 0.7 * torch.randn(num, dim, generator=generator) + 0.3
    return torch.nn.functional.normalize(rows, dim=1)


def log_determinant(unit: torch.Tensor) -> float:
    rows = unit.double().numpy()
    similar = (rows @ rows.T + 1) ** 2
    np.fill_diagonal(similar, 4.0)
    return np.linalg.slogdet(similar)[1]


def dense_greedy(unit: torch.Tensor, size: int) -> list[int]:
    """Algorithm 1 of Chen, Zhang and Zhou 2018 over the whole kernel matrix, in float64."""
    rows = unit.double().numpy()
    similar = (rows @ rows.T + 1) ** 2
    np.fill_diagonal(similar, 4.0)
    coordinates, gains, chosen = np.zeros((size, len(rows))), np.full(len(rows), 4.0), []
    for step in range(size):
        best = int(gains.argmax())
        chosen.append(best)
        made = (similar[best] - coordinates[:step, best] @ coordinates[:step]) / gains[best] ** 0.5
        coordinates[step] = made
        gains -= made**2
        gains[best] = -np.inf
    return chosen


@pytest.fixture(scope="module")
def large() -> torch.Tensor:
    return crowd(2000, 64)


@pytest.fixture(scope="module")
def exact(large) -> list[int]:
    return dense_greedy(large, 200)


@pytest.mark.parametrize("front", [1, 3, 40, 500, 2000])
def test_lazy_and_dense_greedy_choose_the_same_one_by_one(large, exact, front):
    assert most_diverse(large, 200, front=front).rows.tolist() == exact


def test_they_agree_where_columns_are_kept_in_half_precision_too():
    some = crowd(700, 96, centres=40)
    size = HEAD + 80
    assert most_diverse(some, size, front=20).rows.tolist() == dense_greedy(some, size)


def test_each_choice_is_the_one_that_raises_the_determinant_most():
    few = crowd(30, 8)
    chosen: list[int] = []
    for row in most_diverse(few, 6, front=4).rows.tolist():
        raised = {other: log_determinant(few[[*chosen, other]]) for other in range(30) if other not in chosen}
        assert raised[row] == pytest.approx(max(raised.values()), abs=1e-6)
        chosen.append(row)


def test_gains_multiply_to_the_determinant(large):
    picked = most_diverse(large, 60, front=100)
    assert picked.log_determinant == pytest.approx(log_determinant(large[picked.rows]), abs=1e-6)
    assert (np.diff(picked.gains) <= 1e-9).all()
    assert picked.gains[0] == 4.0


def test_a_rotation_of_the_latents_changes_nothing(large):
    turn = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))[0]
    turned = (large.double() @ turn).float()
    assert most_diverse(turned, 50, front=64).rows.tolist() == most_diverse(large, 50, front=64).rows.tolist()


@pytest.mark.parametrize("front", [5, 300])
def test_copies_are_not_chosen_twice_and_there_is_an_end(front):
    """Polynomials of degree 2 on the sphere in three dimensions have 1 + 3 + 5 of their own."""
    once = crowd(100, 3)
    picked = most_diverse(once.repeat(3, 1), 40, front=front)
    assert len(picked.rows) == 9
    assert len(set((picked.rows % 100).tolist())) == 9


@pytest.mark.parametrize("front", [3, 60])
def test_latents_that_are_nothing_are_one_candidate_and_no_more(front):
    """A caption of unknown words, say: of length 0, so (0 + 1)² with everything, itself included."""
    some = crowd(60, 24)
    some[[5, 17, 40]] = 0.0
    picked = most_diverse(some, 40, front=front)
    assert len(np.intersect1d(picked.rows, [5, 17, 40])) <= 1
    rows = some.double().numpy()
    similar = (rows @ rows.T + 1) ** 2
    assert picked.log_determinant == pytest.approx(
        np.linalg.slogdet(similar[np.ix_(picked.rows, picked.rows)])[1], abs=1e-4
    )


@pytest.mark.parametrize("front", [2, 10])
def test_all_can_be_chosen(front):
    assert sorted(most_diverse(crowd(10, 16), 10, front=front).rows.tolist()) == list(range(10))


def test_progress_counts_every_choice(large):
    told: list[int] = []
    most_diverse(large, 100, told.append, front=50)
    assert sum(told) == 100


def test_the_kernel_is_that_of_the_authors():
    left, right = crowd(4, 5), crowd(3, 5, seed=1)
    cosines = np.array([[a @ b for b in right.numpy()] for a in left.numpy()])
    assert kernel(left, right).numpy() == pytest.approx((cosines + 1) ** 2, abs=1e-6)


@pytest.mark.parametrize("parts", [1, 4, 25])
def test_by_parts_little_is_lost_and_much_won_over_chance(large, exact, parts):
    rows = large.numpy()
    of_row = clustered(lambda some: rows[some], 2000, parts, seed=0).of_row
    picked = most_diverse_by_parts(lambda some: rows[some], of_row, 200)
    assert len(set(picked.rows.tolist())) == 200
    best = log_determinant(large[exact])
    chance = log_determinant(large[np.random.default_rng(0).choice(2000, 200, replace=False)])
    assert log_determinant(large[picked.rows]) == pytest.approx(picked.log_determinant, abs=1e-6)
    assert picked.log_determinant > best - 0.05 * (best - chance)


def test_by_parts_of_few_candidates_gives_all_of_them():
    rows = crowd(7, 16).numpy()
    picked = most_diverse_by_parts(lambda some: rows[some], np.array([0, 2, 2, 0, 2, 2, 2]), 7)
    assert sorted(picked.rows.tolist()) == list(range(7))
