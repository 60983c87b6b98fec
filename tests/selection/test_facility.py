import numpy as np
import pytest
from test_kdpp import crowd

from fusemix.selection import facility
from fusemix.selection.facility import neighbour_graph, representatives


def whom(unit: np.ndarray, neighbours: int) -> np.ndarray:
    """Cosine of each candidate (row) with those that may stand for it (column), 0 with others."""
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 2.0)
    near = np.argsort(-cosines, axis=1)[:, : neighbours + 1]
    found = np.zeros_like(cosines)
    np.put_along_axis(found, near, np.maximum(np.take_along_axis(cosines, near, axis=1), 0), axis=1)
    np.fill_diagonal(found, 1.0)
    return found


def test_lazy_choice_is_greedy_choice():
    unit = crowd(600, 24).numpy()
    found = whom(unit, 12)
    served, chosen = np.zeros(600), []
    for _ in range(40):
        chosen.append(int(np.maximum(found - served[:, None], 0).sum(axis=0).argmax()))
        served = np.maximum(served, found[:, chosen[-1]])
    picked = representatives(neighbour_graph(unit, 12), 40)
    assert picked.rows.tolist() == chosen
    assert picked.gains.sum() == pytest.approx(served.sum(), rel=1e-5)
    assert (np.diff(picked.gains) <= 1e-9).all()


def test_all_can_be_chosen_and_then_each_stands_for_itself():
    picked = representatives(neighbour_graph(crowd(30, 8).numpy(), 50), 30)
    assert sorted(picked.rows.tolist()) == list(range(30))
    assert picked.gains.sum() == pytest.approx(30, rel=1e-6)


def test_of_one_cluster_a_cluster_one_is_chosen_each():
    middle = np.eye(5, 16, dtype=np.float32)
    noise = 0.02 * np.random.default_rng(0).standard_normal((100, 16)).astype(np.float32)
    unit = np.repeat(middle, 20, axis=0) + noise
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    assert sorted(representatives(neighbour_graph(unit, 19), 5).rows // 20) == [0, 1, 2, 3, 4]


def test_neighbours_of_many_are_nearly_those_of_an_exact_search(monkeypatch):
    unit = crowd(3000, 16, centres=60).numpy()
    exact = neighbour_graph(unit, 10)
    monkeypatch.setattr(facility, "EXACT_UP_TO", 100)
    found = neighbour_graph(unit, 10)

    def edges(graph):
        return set(zip(np.repeat(np.arange(3000), np.diff(graph.starts)).tolist(), graph.places.tolist(), strict=True))

    assert len(edges(exact) & edges(found)) > 0.9 * len(edges(exact))
