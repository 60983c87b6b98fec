"""Small indexes, whose vectors are compared in memory: against products in double precision, alone and many at once."""

import numpy as np
import pytest
from table_samples import add, made_up

from fusemix.search.description import read_description
from fusemix.search.flat import read_flat
from fusemix.search.folder import Index
from fusemix.search.state import State
from fusemix.search.writer import IndexWriter


def by_definition(queries, rows, k):
    exact = queries.astype(np.float64) @ rows.astype(np.float64).T
    return np.argsort(-exact, axis=1, kind="stable")[:, :k], exact


@pytest.mark.parametrize("k", [1, 7, 400, 1000])
def test_many_at_once_find_what_each_finds_alone_to_the_last_bit(tmp_path, k):
    rows, table = made_up(400)
    add(tmp_path, (rows, table))
    queries, _ = made_up(130, seed=9)  # more than are compared at once
    index = Index(tmp_path)
    scores, positions = index.search(queries, k)
    wanted, exact = by_definition(queries, rows, k)
    np.testing.assert_array_equal(positions, wanted)
    np.testing.assert_allclose(scores, np.take_along_axis(exact, wanted, axis=1), atol=1e-6)
    for place in (0, 64, 129):
        alone = index.search(queries[place : place + 1], k)
        np.testing.assert_array_equal(alone.scores[0], scores[place])
        np.testing.assert_array_equal(alone.positions[0], positions[place])


def test_equal_items_stand_in_order_wherever_they_lie(tmp_path):
    rows, table = made_up(501)
    rows[[3, 250, 499, 500]] = rows[0]
    add(tmp_path, (rows, table))
    _, positions = Index(tmp_path).search(rows[:1], 3)
    assert positions.tolist() == [[0, 3, 250]]


def test_a_filter_leaves_what_passes_and_few_may_be_left(tmp_path):
    rows, table = made_up(300)
    add(tmp_path, (rows, table))
    index, (queries, _) = Index(tmp_path), made_up(3, seed=9)
    ids = [f"0/{number}" for number in (4, 17, 250)]
    where = f"id IN ({', '.join(map(repr, ids))})"
    scores, positions = index.search(queries, 10, where)
    wanted, _ = by_definition(queries, rows[[4, 17, 250]], 3)
    np.testing.assert_array_equal(positions, np.array([4, 17, 250])[wanted])
    assert index.search(queries, 10, "id = 'none'").positions.shape == (3, 0)
    assert np.isfinite(scores).all()


def test_what_another_process_changes_is_read_again_and_only_then(tmp_path, monkeypatch):
    rows, table = made_up(50)
    add(tmp_path, (rows, table))
    index, read = Index(tmp_path), []
    monkeypatch.setattr("fusemix.search.state.read_flat", lambda table: read.append(1) or read_flat(table))
    for _ in range(3):
        assert index.search(rows[7:8], 1).positions.tolist() == [[7]]
        index.search(rows[7:8], 1, "modality = 'image'")
    assert len(read) == 1
    writer = IndexWriter(tmp_path, read_description(tmp_path))
    writer.remove(["0/7"])
    assert index.search(rows[7:8], 1).positions.tolist() != [[7]]
    assert index.search(rows[7:8], 1, "id = '0/7'").positions.shape == (1, 0)
    more, other = made_up(5, seed=1)
    writer.add(more, other)
    assert index.items([int(index.search(more[2:3], 1).positions[0, 0])])[0]["id"] == "1/2"
    assert len(read) == 3


def test_what_is_too_large_for_memory_is_compared_by_the_table(tmp_path, monkeypatch):
    rows, table = made_up(200)
    add(tmp_path, (rows, table))
    queries, _ = made_up(4, seed=9)
    near = Index(tmp_path).search(queries, 5)
    monkeypatch.setattr("fusemix.search.state.MOST_FLAT", 199)
    monkeypatch.setattr(State, "_flat", lambda self: pytest.fail("vectors were read into memory"))
    scores, positions = Index(tmp_path).search(queries, 5)
    np.testing.assert_array_equal(positions, near.positions)
    np.testing.assert_allclose(scores, near.scores, atol=1e-6)
