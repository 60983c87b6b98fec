import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from test_kdpp import crowd

from fusemix.selection.clusters import Clusters, clustered
from fusemix.selection.density import TEMPERATURE, complexities, least_typical, quotas


def clusters_of(num: int = 1200, dim: int = 16, centres: int = 12, seed: int = 0) -> tuple[np.ndarray, Clusters]:
    unit = crowd(num, dim, centres).numpy()
    return unit, clustered(lambda rows: unit[rows], num, centres, seed)


def test_every_candidate_is_in_the_cluster_of_its_nearest_centroid():
    unit, found = clusters_of()
    cosines = unit @ found.centroids.T
    assert (found.of_row == cosines.argmax(axis=1)).all()
    assert found.cosines == pytest.approx(cosines.max(axis=1), abs=1e-5)
    assert np.linalg.norm(found.centroids, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_clusters_are_the_same_for_a_seed():
    _, one = clusters_of(seed=3)
    _, other = clusters_of(seed=3)
    assert (one.of_row == other.of_row).all()


def test_complexity_is_spread_within_times_distance_to_others():
    unit, found = clusters_of()
    for cluster in range(12):
        members = unit[found.of_row == cluster]
        within = np.mean([1 - one @ found.centroids[cluster] for one in members])
        others = [1 - found.centroids[cluster] @ found.centroids[other] for other in range(12) if other != cluster]
        assert complexities(found)[cluster] == pytest.approx(within * np.mean(others), abs=1e-5)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 40)), min_size=1, max_size=12),
    st.floats(0.02, 1),
)
def test_quotas_sum_up_and_no_cluster_gives_more_than_it_has(clusters, part):
    complexity, counts = np.array([c for c, _ in clusters]), np.array([n for _, n in clusters])
    size = max(1, round(part * counts.sum()))
    found = quotas(complexity, counts, size)
    assert found.sum() == size
    assert (found >= 0).all()
    assert (found <= counts).all()
    if size >= len(counts):
        assert (found >= 1).all()


def test_quotas_are_the_nearest_to_what_is_wanted():
    """Beside a general solver of the quadratic programme."""
    complexity, counts = np.array([0.05, 0.2, 0.3, 0.02, 0.25]), np.array([300, 40, 500, 900, 60])
    wanted = np.exp(complexity / TEMPERATURE)
    wanted *= 600 / wanted.sum()
    solved = minimize(
        lambda x: ((x - wanted) ** 2).sum(),
        np.minimum(counts, 100.0),
        jac=lambda x: 2 * (x - wanted),
        bounds=[(1, count) for count in counts],
        constraints={"type": "eq", "fun": lambda x: x.sum() - 600, "jac": lambda x: np.ones(5)},
        method="SLSQP",
    )
    assert quotas(complexity, counts, 600) == pytest.approx(solved.x, abs=1.01)


def test_of_a_cluster_the_least_typical_are_taken():
    _, found = clusters_of()
    chosen = least_typical(found, 300)
    assert len(set(chosen.tolist())) == 300
    left = np.setdiff1d(np.arange(1200), chosen)
    for cluster in range(12):
        taken, rest = (found.cosines[rows[found.of_row[rows] == cluster]] for rows in (chosen, left))
        assert not len(rest) or not len(taken) or taken.max() <= rest.min()


def test_all_can_be_taken():
    _, found = clusters_of(num=40, centres=4)
    assert sorted(least_typical(found, 40).tolist()) == list(range(40))
