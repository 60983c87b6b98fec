import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_samples import lattice, unit

from fusemix.errors import ConfigError
from fusemix.retrieval import index
from fusemix.retrieval.index import search_approximately, search_exactly, share_found


def drawn(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    return unit(rows, dim, seed).numpy()


def test_search_agrees_with_sorting_all_scores():
    gallery, queries = drawn(200, 16), drawn(30, 16, 1)
    scores, found = search_exactly(queries, gallery, 7, use_gpu=False)
    expected = torch.topk(torch.from_numpy(queries @ gallery.T), 7)
    np.testing.assert_allclose(scores, expected.values, atol=1e-6)
    assert (found == expected.indices.numpy()).all()


@settings(deadline=None)
@given(sizes=st.tuples(st.integers(1, 30), st.integers(1, 60)), seed=st.integers(0, 99), share=st.floats(0, 1))
def test_scores_are_those_of_a_sort_whatever_ties(sizes, seed, share):
    """Which of equal items still stand at the end of a list is open; their scores are not."""
    queries, gallery = lattice(sizes[0], 4, seed).numpy(), lattice(sizes[1], 4, seed + 1).numpy()
    k = max(1, round(share * sizes[1]))
    found = search_exactly(queries, gallery, k, use_gpu=False)
    scores = queries @ gallery.T
    np.testing.assert_array_equal(found.scores, -np.sort(-scores, axis=1)[:, :k])
    np.testing.assert_array_equal(np.take_along_axis(scores, found.positions, axis=1), found.scores)
    assert all(len(set(row)) == k for row in found.positions.tolist())
    same, follows = np.diff(found.scores, axis=1) == 0, np.diff(found.positions, axis=1) > 0
    assert (follows | ~same).all(), "equal scores in order of position"


def test_equal_scores_come_in_order_of_position():
    same = np.ones((6, 4), dtype=np.float32) / 2
    assert search_exactly(same[:1], same, 6, use_gpu=False).positions.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_queries_in_blocks_find_what_all_at_once_find(monkeypatch):
    gallery, queries = drawn(60, 8), drawn(31, 8, 1)
    whole = search_exactly(queries, gallery, 4, use_gpu=False)
    monkeypatch.setattr(index, "QUERIES_AT_ONCE", 7)
    np.testing.assert_array_equal(search_exactly(queries, gallery, 4, use_gpu=False).positions, whole.positions)


def test_slices_and_turned_arrays_are_searched_like_their_copies():
    gallery, queries = drawn(16, 40).T, drawn(60, 16, 1)[::2]
    found = search_exactly(queries, gallery, 5, use_gpu=False)
    again = search_exactly(queries.copy(), gallery.copy(), 5, use_gpu=False)
    np.testing.assert_array_equal(found.positions, again.positions)


@pytest.mark.parametrize("search", ["exact", "Flat"])
def test_what_faiss_would_pass_over_in_silence_is_refused(search):
    def searched(queries: np.ndarray, gallery: np.ndarray, k: int) -> object:
        if search == "exact":
            return search_exactly(queries, gallery, k, use_gpu=False)
        return search_approximately(queries, gallery, k, search)

    broken = drawn(4, 3)
    broken[2, 0] = np.nan
    for queries, gallery in ((drawn(4, 3), broken), (broken, drawn(4, 3))):
        with pytest.raises(ValueError, match="queries or gallery hold NaN or infinity"):
            searched(queries, gallery, 1)
    with pytest.raises(ValueError, match="queries are 5 wide, the gallery 3"):
        searched(drawn(2, 5), drawn(4, 3), 1)
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k is {k}, but must be from 1 to 4"):
            searched(drawn(2, 3), drawn(4, 3), k)
    with pytest.raises(ValueError, match="k is 1, but must be from 1 to 0"):
        searched(drawn(2, 3), np.empty((0, 3), dtype=np.float32), 1)


def test_a_gpu_that_faiss_cannot_use_is_a_reason_not_a_crash(monkeypatch):
    index.gpu_problem.cache_clear()
    monkeypatch.setattr(index, "ONE_SEARCH", "import os; os.abort()")
    assert "ended with code" in index.gpu_problem()
    gallery = drawn(5, 3)
    assert search_exactly(gallery, gallery, 1, use_gpu=True).positions.ravel().tolist() == [0, 1, 2, 3, 4]
    index.gpu_problem.cache_clear()
    monkeypatch.setattr(index, "ONE_SEARCH", "assert False, 'faiss sees no GPU'")
    assert index.gpu_problem() == "faiss sees no GPU"
    index.gpu_problem.cache_clear()


@pytest.mark.parametrize(("factory", "parameters"), [("Flat", ""), ("IVF8,Flat", "nprobe=8")])
def test_an_index_that_looks_at_every_item_finds_what_exact_search_finds(factory, parameters):
    gallery, queries = drawn(300, 8), drawn(40, 8, 1)
    found = search_approximately(queries, gallery, 12, factory, parameters)
    np.testing.assert_array_equal(found.top.positions, search_exactly(queries, gallery, 12, use_gpu=False).positions)
    assert found.build_sec > 0
    assert found.search_ms_per_query > 0


def test_the_size_of_an_index_is_that_of_its_file():
    gallery = drawn(300, 8)
    flat = faiss.index_factory(8, "Flat", faiss.METRIC_INNER_PRODUCT)
    flat.add(gallery)
    assert search_approximately(gallery, gallery, 1, "Flat").num_bytes == len(faiss.serialize_index(flat)) > 300 * 8 * 4


def test_where_an_index_finds_too_few_the_places_are_empty_and_last():
    gallery = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    found = search_approximately(np.eye(4, dtype=np.float32), gallery, 30, "IVF4,Flat", "nprobe=1").top
    assert [sorted(row[:10]) for row in found.positions.tolist()] == [
        list(range(at, at + 10)) for at in (0, 10, 20, 30)
    ]
    assert (found.positions[:, 10:] == -1).all()


def test_what_faiss_cannot_make_is_one_message_each():
    gallery = drawn(50, 8)
    with pytest.raises(ConfigError, match=r"indexes: FAISS cannot make 'IFV8,Flat' over 50 items of width 8: .*IFV8"):
        search_approximately(gallery, gallery, 1, "IFV8,Flat")
    wanted = r"indexes: FAISS cannot make 'IVF4,Flat' with 'nprobes=2' over 50 items .*nprobes.* See its guide"
    with pytest.raises(ConfigError, match=wanted):
        search_approximately(gallery, gallery, 1, "IVF4,Flat", "nprobes=2")
    with pytest.raises(ConfigError, match=r"'IVF256,Flat' over 50 items of width 8: .*50.*256") as found:
        search_approximately(gallery, gallery, 1, "IVF256,Flat")
    assert "\n" not in str(found.value)
    assert ".cpp" not in str(found.value)


def test_the_share_found_counts_items_whatever_their_order():
    exact = np.array([[1, 2, 3], [4, 5, 6]])
    assert share_found(exact, exact) == 1.0
    assert share_found(exact[:, ::-1].copy(), exact) == 1.0
    assert share_found(np.array([[3, 9, -1], [4, 5, 7]]), exact) == pytest.approx(3 / 6)
    assert share_found(np.full((2, 3), -1), exact) == 0.0
