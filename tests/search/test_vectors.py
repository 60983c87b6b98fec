"""The vectors of a segment: exact below the limit, nearly so above it, and mapped rather than read."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from fusemix.errors import IndexFolderError
from fusemix.search import vectors as module
from fusemix.search.precision import as_stored
from fusemix.search.vectors import Vectors, build, kind_for


def unit(generator, count, dim, centres=None):
    rows = generator.standard_normal((count, dim))
    if centres is not None:
        rows = rows + 3 * centres[generator.integers(len(centres), size=count)]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def flat(tmp_path):
    rows = unit(np.random.default_rng(0), 500, 24)
    built = build(tmp_path / "a.faiss", rows, rows[:10])
    return rows, built, Vectors(tmp_path / "a.faiss", 500, 0, 0)


@pytest.fixture
def inverted(tmp_path, monkeypatch):
    """As above the limit, which is lowered."""
    monkeypatch.setattr(module, "FLAT_BELOW", 1000)
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((30, 48))
    rows, queries = unit(generator, 6000, 48, centres), unit(generator, 200, 48, centres)
    built = build(tmp_path / "a.faiss", rows, queries)
    return rows, queries, built, Vectors(tmp_path / "a.faiss", 6000, built.probes, built.candidates)


def test_few_items_are_compared_one_by_one(flat):
    rows, built, vectors = flat
    assert built == ("Flat", 0, 0, 1.0)
    queries = unit(np.random.default_rng(1), 20, 24)
    scores, positions = vectors.search(queries, 7)
    exact = queries @ rows.T
    wanted = np.argsort(-exact, axis=1, kind="stable")[:, :7]
    assert (positions == wanted).all()
    np.testing.assert_allclose(scores, np.take_along_axis(exact, wanted, axis=1), atol=1e-6)


def test_no_more_are_found_than_there_are(flat):
    assert flat[2].search(unit(np.random.default_rng(1), 2, 24), 1000)[1].shape == (2, 500)


def test_vectors_are_given_back_as_they_were(flat):
    rows, _, vectors = flat
    np.testing.assert_array_equal(vectors.take(100, 50), rows[100:150])


@pytest.mark.parametrize(
    ("num_items", "kind"),
    [
        (1, "Flat"),
        (99_999, "Flat"),
        (100_000, "IVF256,RaBitQ"),
        (500_000, "IVF1024,RaBitQ"),
    ],
)
def test_the_kind_follows_from_the_number_of_items(num_items, kind):
    assert kind_for(num_items) == kind
    assert faiss.index_factory(64, kind, faiss.METRIC_INNER_PRODUCT).d == 64


def test_above_the_limit_nearly_all_is_found_and_scores_are_cosines(inverted):
    rows, queries, built, vectors = inverted
    exact = queries @ rows.T
    wanted = np.argsort(-exact, axis=1)[:, :10]
    scores, positions = vectors.search(queries, 10)
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(positions, wanted, strict=True)])
    assert built.kind.startswith("IVF")
    assert share == pytest.approx(built.found, abs=1e-6), "what was stated is what is found"
    assert share >= module.ENOUGH_FOUND
    np.testing.assert_allclose(scores, np.take_along_axis(exact, positions, axis=1), atol=1e-3)
    assert positions.shape == (200, built.candidates)


def test_more_are_compared_where_more_are_asked_for(inverted):
    *_, built, vectors = inverted
    queries = unit(np.random.default_rng(4), 3, 48)
    assert vectors.search(queries, built.candidates)[1].shape == (3, 4 * built.candidates)
    everything = vectors.search(queries, 10_000)[1]
    assert everything.shape == (3, 6000)
    for row in everything:
        found = row[row >= 0]
        assert len(set(found)) == len(found)


def test_more_lists_are_looked_at_where_few_do_not_find_enough(inverted, tmp_path, monkeypatch):
    rows, *_ = inverted
    monkeypatch.setattr(module, "PROBES", (1, 2, 4, 8))
    least = [
        build(tmp_path / "b.faiss", rows, some).probes for some in (rows[:100], unit(np.random.default_rng(5), 100, 48))
    ]
    assert least[0] < least[1], "queries that are no items are further from the centres of lists"


def test_vectors_above_the_limit_are_given_back_in_half_precision(inverted):
    rows, _, _, vectors = inverted
    np.testing.assert_array_equal(vectors.take(17, 5), rows[17:22].astype(np.float16).astype(np.float32))


def test_vectors_are_plain_numpy(inverted, tmp_path):
    rows, *_ = inverted
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows.astype(np.float16))


def resident_megabytes(kind):
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) / 1024


def test_pages_of_vectors_do_not_stay_with_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FLAT_BELOW", 1000)
    generator = np.random.default_rng(0)
    rows = unit(generator, 30_000, 512)
    built = build(tmp_path / "a.faiss", rows, rows[:20])
    vectors = Vectors(tmp_path / "a.faiss", 30_000, built.probes, 3200)
    vectors.search(rows[:1], 10)
    before = resident_megabytes("RssFile")
    for start in range(0, 200, 20):
        vectors.search(rows[start : start + 20], 10)
    assert (tmp_path / "a.npy").stat().st_size > 30e6
    assert resident_megabytes("RssFile") - before < 8


def test_a_file_is_mapped_and_not_read(tmp_path):
    rows = unit(np.random.default_rng(0), 20_000, 512)
    build(tmp_path / "a.faiss", rows, rows[:1])

    before = resident_megabytes("RssAnon")
    vectors = Vectors(tmp_path / "a.faiss", 20_000, 0, 0)
    vectors.search(rows[:3], 5)
    assert (tmp_path / "a.faiss").stat().st_size > 40e6
    assert resident_megabytes("RssAnon") - before < 15


@pytest.mark.parametrize("damage", ["absent", "cut", "other"])
def test_a_damaged_file_is_named(tmp_path, flat, damage):
    path = tmp_path / "a.faiss"
    if damage == "absent":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        build(path, unit(np.random.default_rng(1), 7, 24), np.empty((0, 24), np.float32))
    with pytest.raises(IndexFolderError, match=r"a.faiss .*Make the index again \(fusemix index … --overwrite\)"):
        Vectors(path, 500, 0, 0)


@pytest.mark.parametrize("damage", ["absent", "cut", "other"])
def test_damaged_vectors_are_named(tmp_path, inverted, damage):
    built, path = inverted[2], tmp_path / "a.npy"
    content = path.read_bytes()
    path.unlink()  # the one that is open stays as it is
    if damage == "cut":
        path.write_bytes(content[:1000])
    elif damage == "other":
        np.save(path, np.zeros((5, 48), np.float16))
    with pytest.raises(IndexFolderError, match=r"a.faiss .*Make the index again \(fusemix index … --overwrite\)"):
        Vectors(tmp_path / "a.faiss", 6000, built.probes, built.candidates)


def test_more_candidates_are_compared_where_codes_alone_do_not_tell(tmp_path, monkeypatch):
    """One bit a dimension says little in few dimensions, where items lie anywhere."""
    monkeypatch.setattr(module, "FLAT_BELOW", 1000)
    rows = unit(np.random.default_rng(0), 4000, 32)
    chosen = build(tmp_path / "a.faiss", rows, rows[::40])
    monkeypatch.setattr(module, "CANDIDATES", module.CANDIDATES[:1])
    few = build(tmp_path / "b.faiss", rows, rows[::40])
    assert chosen.candidates > few.candidates
    assert chosen.found >= module.ENOUGH_FOUND > few.found


@pytest.mark.parametrize(("precision", "kind", "num_bytes"), [("float16", "SQfp16", 48), ("int8", "SQ8", 24)])
def test_few_items_are_compared_as_they_are_stored(tmp_path, precision, kind, num_bytes):
    rows, queries = unit(np.random.default_rng(0), 500, 24), unit(np.random.default_rng(1), 20, 24)
    assert build(tmp_path / "a.faiss", rows, rows[:10], precision) == (kind, 0, 0, 1.0)
    vectors, stored = Vectors(tmp_path / "a.faiss", 500, 0, 0), as_stored(rows, precision)
    np.testing.assert_allclose(vectors.take(100, 50), stored[100:150], atol=1e-7)
    scores, positions = vectors.search(queries, 7)
    exact = queries @ stored.T
    np.testing.assert_allclose(scores, np.take_along_axis(exact, positions, axis=1), atol=1e-6)
    np.testing.assert_allclose(np.sort(scores, axis=1), np.sort(exact, axis=1)[:, -7:], atol=1e-6)
    start, stop = module.bulk_of_vectors(tmp_path / "a.faiss")
    assert (stop, stop - start) == ((tmp_path / "a.faiss").stat().st_size, 500 * num_bytes)


def test_above_the_limit_bytes_decide_where_they_are_asked_for(inverted, tmp_path):
    rows, queries, *_ = inverted
    built = build(tmp_path / "b.faiss", rows, queries, "int8")
    vectors, stored = Vectors(tmp_path / "b.faiss", 6000, built.probes, built.candidates), as_stored(rows, "int8")
    np.testing.assert_array_equal(vectors.take(17, 5), stored[17:22])
    scores, positions = vectors.search(queries, 10)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ stored.T, positions, axis=1), atol=1e-6)
    start, stop = module.bulk_of_vectors(tmp_path / "b.npy")
    assert (stop, stop - start) == ((tmp_path / "b.npy").stat().st_size, 6001 * 48)


def test_the_coarsest_rounding_is_no_damage(tmp_path):
    """Of two numbers one is the whole vector, and a byte ends a little beyond 1."""
    rows = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    build(tmp_path / "a.faiss", rows, rows, "int8")
    scores, positions = Vectors(tmp_path / "a.faiss", 3, 0, 0).search(rows, 1)
    assert positions[:, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(scores[:, 0], 1, atol=2 / 255)
