import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from largest_tensor import LargestTensor
from retrieval_samples import drawn_links, lattice, unit

from fusemix.retrieval import tiles
from fusemix.retrieval.counting import Counting, Counts, Thresholds
from fusemix.retrieval.ranks import look_once
from fusemix.retrieval.tiles import ALONE, WORDS, Block, Room, Share, Tile, full_float32, walk

NARROWEST = 8 * WORDS


def drawn_thresholds(rows: int, columns: int, seed: int) -> Thresholds:
    """Two of each row and three of each column, on and between the scores of a lattice; some are never reached."""
    generator = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        values = generator.integers(-33, 33, size=shape).astype(np.float32) / 32
        return np.where(generator.random(shape) < 0.1, np.float32(np.inf), values)

    return Thresholds(drawn(2, rows), drawn(3, columns))


def counted(
    left: torch.Tensor, right: torch.Tensor, links: np.ndarray, thresholds: Thresholds, share: Share = ALONE, done=None
) -> Counts:
    counting = Counting(links[np.lexsort(links.T[::-1])], thresholds)
    walk(left, right, [counting], share=share, advance=(done if done is not None else []).append)
    return counting.total(share)


def slow_counts(left: torch.Tensor, right: torch.Tensor, links: np.ndarray, thresholds: Thresholds) -> Counts:
    """On the whole matrix, in float64."""
    scores = left.double().numpy() @ right.double().numpy().T
    scores[links[:, 0], links[:, 1]] = -np.inf
    return Counts(
        np.stack([(scores >= one[:, None]).sum(axis=1) for one in thresholds.rows]),
        np.stack([(scores >= one).sum(axis=0) for one in thresholds.columns]),
    )


def require_same(found: Counts, expected: Counts) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.columns, expected.columns)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.tuples(st.integers(1, 12), st.one_of(st.integers(1, 40), st.integers(NARROWEST - 5, 2 * NARROWEST + 50))),
    turned=st.booleans(),
    height=st.integers(1, 7),
    thread_rows=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_counts_are_those_of_the_whole_matrix_in_tiles_of_any_size(sizes, turned, height, thread_rows, seed):
    left, right = sizes[::-1] if turned else sizes
    sides = lattice(left, 4, seed), lattice(right, 4, seed + 1)
    links = drawn_links(left, right, min(left * right, 1 + seed % 20), seed)
    thresholds = drawn_thresholds(left, right, seed)
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "CPU_TILE", (height + left // 6, NARROWEST))
        patch.setattr(tiles, "THREAD_ROWS", thread_rows + left // 50)
        found = counted(*sides, links, thresholds, done=done)
    require_same(found, slow_counts(*sides, links, thresholds))
    assert sum(done) == left


def test_counts_of_more_rows_and_columns_than_a_real_tile():
    rows, columns = (side + 21 for side in tiles.CPU_TILE)
    left, right = lattice(rows, 4, 0), lattice(columns, 4, 1)
    links = drawn_links(rows, columns, 5000, 0)
    thresholds = drawn_thresholds(rows, columns, 0)
    require_same(counted(left, right, links, thresholds), slow_counts(left, right, links, thresholds))


def test_away_from_ties_counts_of_unit_vectors_are_those_in_float64():
    left, right = unit(70, 24, 0), unit(90, 24, 1)
    links = drawn_links(70, 90, 200, 0)
    scores = np.sort(left.double().numpy() @ right.double().numpy().T, axis=None)
    gaps = np.flatnonzero(np.diff(scores) > 2e-5)
    between = ((scores[gaps] + scores[gaps + 1]) / 2).astype(np.float32)
    generator = np.random.default_rng(0)
    thresholds = Thresholds(generator.choice(between, (2, 70)), generator.choice(between, (1, 90)))
    require_same(counted(left, right, links, thresholds), slow_counts(left, right, links, thresholds))


@pytest.mark.parametrize("processes", [2, 3, 9])
def test_shares_of_processes_add_up_to_the_whole(processes, monkeypatch):
    """Seven rows of tiles; nine processes are more than there is work for."""
    monkeypatch.setattr(tiles, "CPU_TILE", (3, NARROWEST))
    left, right, links = lattice(20, 4, 0), lattice(300, 4, 1), drawn_links(20, 300, 60, 0)
    thresholds = drawn_thresholds(20, 300, 0)
    parts, done = [], []
    for rank in range(processes):
        share = Share(rank, processes, lambda counts: counts)
        parts.append(counted(left, right, links, thresholds, share, done))
    whole = slow_counts(left, right, links, thresholds)
    require_same(Counts(*(sum(part[side] for part in parts) for side in (0, 1))), whole)
    assert sum(done) == 20
    assert any((part.rows != whole.rows).any() for part in parts), "no process did all of it"


def test_a_gpu_counts_what_a_cpu_counts():
    scores, no_links = lattice(16, 4, 0) @ lattice(333, 4, 1).T, np.empty((0, 2), dtype=int)
    thresholds, whole = drawn_thresholds(16, 333, 0), (slice(0, 16), slice(0, 333))
    counting, room = Counting(no_links, thresholds), Room(2 * NARROWEST)
    room.truths((16, 2 * NARROWEST))[:] = True  # what an earlier, wider tile left there must not count
    on_cpu = counting.from_block(Block(scores.numpy(), *whole), room)
    require_same(counting.from_device(Tile(scores, *whole)), on_cpu)
    require_same(on_cpu, slow_counts(lattice(16, 4, 0), lattice(333, 4, 1), no_links, thresholds))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_counts_on_a_gpu_are_those_of_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(tiles, "DEVICE_TILE", (64, 100))
    left, right = lattice(150, 4, 0), lattice(333, 4, 1)
    links = drawn_links(150, 333, 400, 0)
    thresholds = drawn_thresholds(150, 333, 0)
    found = counted(left.cuda(), right.cuda(), links, thresholds)
    require_same(found, slow_counts(left, right, links, thresholds))


@pytest.fixture
def _low_precision():
    """What training may have turned on."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("_low_precision")
def test_products_are_in_full_float32_whatever_torch_is_set_to():
    left, right = unit(40, 64, 0), unit(40, 64, 1)
    assert (left @ right.T).dtype == torch.bfloat16
    with full_float32():
        assert torch.get_float32_matmul_precision() == "highest"
        found = left @ right.T
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), left.double().numpy() @ right.double().numpy().T, atol=1e-6)
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert torch.get_float32_matmul_precision() == "medium"
    assert (left @ right.T).dtype == torch.bfloat16


def test_low_precision_of_training_changes_neither_ranks_nor_lists_nor_masses(request):
    left, right, links = unit(60, 64, 0), unit(80, 64, 1), drawn_links(60, 80, 120, 0)
    before = look_once(left, right, links, depth=5, beta=20.0)
    request.getfixturevalue("_low_precision")
    after = look_once(left, right, links, depth=5, beta=20.0)
    for one, other in zip((*before.ranks, *before.tops), (*after.ranks, *after.tops), strict=True):
        for field, again in zip(one, other, strict=True):
            np.testing.assert_array_equal(field, again)
    for one, other in zip(before.masses, after.masses, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def wide(monkeypatch):
    """Sides whose matrix of scores is many times a tile, with links."""
    monkeypatch.setattr(tiles, "CPU_TILE", (16, NARROWEST))
    links = np.column_stack([np.repeat(np.arange(400), 15), np.arange(6000)])
    return unit(400, 4, 0), unit(6000, 4, 1), links


def test_no_tensor_is_larger_than_a_tile_or_a_side(wide):
    with LargestTensor() as noted:
        look_once(*wide, depth=10, beta=20.0)
    assert noted.largest <= max(16 * NARROWEST, wide[1].numel())


def test_numpy_holds_not_even_truth_values_of_the_whole_matrix(wide):
    look_once(
        unit(20, 4, 0), unit(600, 4, 1), wide[2][:9], depth=3, beta=20.0
    )  # what libraries keep from their first call does not count
    tracemalloc.start()
    look_once(*wide, depth=3, beta=20.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 16 * NARROWEST < peak < 400 * 6000, "the truth values of a tile are traced"
