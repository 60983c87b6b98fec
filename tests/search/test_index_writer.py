"""An index is added to: what was in it stays, whatever happens in between."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from fusemix.errors import IndexFolderError
from fusemix.search import vectors as vectors_module
from fusemix.search import writer as module
from fusemix.search.description import Description, read_description
from fusemix.search.folder import Index
from fusemix.search.items import SCHEMA
from fusemix.search.writer import IndexWriter

DIM = 16
MODEL = {"name": "runs/x", "sha256": "0"}


def made_up(count, seed=0, modality="image"):
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    items = [
        {"id": f"{seed}/{n}", "modality": modality, "path": None, "captions": [], "source": 0, "row": n}
        for n in range(count)
    ]
    return rows, pa.Table.from_pylist(items, SCHEMA)


def add(folder, *some, segment_rows=module.SEGMENT_ROWS):
    description = read_description(folder) or Description(MODEL, DIM)
    writer = IndexWriter(folder, description, segment_rows)
    for rows, table in some:
        writer.add(rows, table)
    return writer.finish()


def content(folder):
    index = Index(folder)
    everywhere = list(range(index.num_items))
    return index.vectors(everywhere), [item["id"] for item in index.items(everywhere)]


def files(folder):
    return sorted(path.name for path in (folder / "segments").iterdir())


def test_what_is_added_can_be_searched_by_cosine(tmp_path):
    rows, table = made_up(300)
    add(tmp_path, (rows, table))
    index = Index(tmp_path)
    queries, _ = made_up(20, seed=9)
    scores, positions = index.search(queries, 5)
    exact = queries @ rows.T
    assert (positions == np.argsort(-exact, axis=1, kind="stable")[:, :5]).all()
    np.testing.assert_allclose(scores, np.take_along_axis(exact, positions, axis=1), atol=1e-6)
    assert index.items([7])[0]["id"] == "0/7"
    assert index.find("0/7") == 7
    assert index.find("1/7") is None


def test_small_additions_leave_one_segment_and_every_position_as_it_was(tmp_path):
    parts = [made_up(count, seed) for seed, count in enumerate((30, 1, 12))]
    for number, part in enumerate(parts, start=1):
        description = add(tmp_path, part)
        assert len(description.segments) == 1
        vectors, ids = content(tmp_path)
        np.testing.assert_allclose(vectors, np.concatenate([rows for rows, _ in parts[:number]]), atol=1e-6)
        assert ids == [item for _, table in parts[:number] for item in table["id"].to_pylist()]
    assert len(files(tmp_path)) == 2, "files that no longer count are gone"


def test_of_two_writers_at_once_one_is_refused_and_the_index_is_the_others(tmp_path, monkeypatch):
    """Both have begun before either ends, as where nothing keeps them apart."""
    writers = [IndexWriter(tmp_path, Description(MODEL, DIM)) for _ in range(2)]
    parts = [made_up(30, seed) for seed in range(2)]
    for writer, part in zip(writers, parts, strict=True):
        writer.add(*part)
    build = module.build

    def meanwhile(*arguments):
        monkeypatch.setattr(module, "build", build)
        writers[1].finish()
        return build(*arguments)

    monkeypatch.setattr(module, "build", meanwhile)
    with pytest.raises(IndexFolderError, match="changed by another process"):
        writers[0].finish()
    vectors, ids = content(tmp_path)
    np.testing.assert_allclose(vectors, parts[1][0], atol=1e-6)
    assert ids == parts[1][1]["id"].to_pylist()


def test_a_foreign_file_among_segments_is_left_alone(tmp_path):
    add(tmp_path, made_up(30))
    foreign = [tmp_path / "segments" / name for name in ("Thumbs.db", ".DS_Store", "notes.npy")]
    for path in foreign:
        path.write_text("mine")
    add(tmp_path, made_up(12, seed=1))
    assert all(path.read_text() == "mine" for path in foreign)
    assert Index(tmp_path).num_items == 42


def test_full_segments_are_never_touched_again(tmp_path):
    add(tmp_path, made_up(250), segment_rows=100)
    full = {segment.name for segment in read_description(tmp_path).segments[:2]}
    first = {name: (tmp_path / "segments" / name).stat().st_mtime_ns for name in files(tmp_path) if name[:25] in full}
    assert len(first) == 4
    add(tmp_path, made_up(120, seed=1), segment_rows=100)
    assert [segment.num_items for segment in Index(tmp_path).description.segments] == [100, 100, 100, 70]
    assert {name: (tmp_path / "segments" / name).stat().st_mtime_ns for name in first} == first
    vectors, ids = content(tmp_path)
    wanted = [made_up(250), made_up(120, seed=1)]
    np.testing.assert_allclose(vectors, np.concatenate([rows for rows, _ in wanted]), atol=1e-6)
    assert ids == [item for _, table in wanted for item in table["id"].to_pylist()]


def test_many_segments_are_searched_as_one(tmp_path):
    rows, table = made_up(430)
    add(tmp_path / "one", (rows, table))
    add(tmp_path / "many", (rows, table), segment_rows=50)
    queries, _ = made_up(10, seed=9)
    one, many = Index(tmp_path / "one"), Index(tmp_path / "many")
    assert len(many.description.segments) == 9
    for k in (1, 10, 60, 1000):
        assert (one.search(queries, k).positions == many.search(queries, k).positions).all()
        np.testing.assert_allclose(one.search(queries, k).scores, many.search(queries, k).scores, atol=1e-6)


def test_equal_scores_stand_in_order_of_position(tmp_path):
    rows, table = made_up(60)
    rows[:] = rows[0]
    add(tmp_path, (rows, table), segment_rows=25)
    assert Index(tmp_path).search(rows[:1], 60).positions[0].tolist() == list(range(60))


def test_a_segment_that_grows_beyond_the_limit_is_no_longer_flat(tmp_path, monkeypatch):
    for place in (vectors_module, module):
        monkeypatch.setattr(place, "FLAT_BELOW", 1000)
    assert add(tmp_path, made_up(900)).segments[0].kind == "Flat"
    description = add(tmp_path, made_up(900, seed=1))
    assert [segment.kind for segment in description.segments] == ["IVF4,RaBitQ"]
    (name,) = {path.partition(".")[0] for path in files(tmp_path)}
    assert files(tmp_path) == [f"{name}.faiss", f"{name}.npy", f"{name}.parquet"]
    kept = Index(tmp_path)
    assert not kept.is_exact
    assert kept.find("0/899") == 899
    description = add(tmp_path, made_up(10, seed=2))
    assert [segment.kind for segment in description.segments][1:] == ["Flat"]
    rows = np.concatenate([made_up(900)[0], made_up(900, seed=1)[0], made_up(10, seed=2)[0]])
    found = Index(tmp_path).search(rows[[3, 1500, 1805]], 1).positions[:, 0]
    assert found.tolist() == [3, 1500, 1805]


def test_segments_that_are_not_flat_are_searched_as_one(tmp_path, monkeypatch):
    for place in (vectors_module, module):
        monkeypatch.setattr(place, "FLAT_BELOW", 1000)
    rows, table = made_up(4500)
    description = add(tmp_path, (rows, table), segment_rows=1500)
    assert all(segment.probes for segment in description.segments)
    assert len(description.segments) == 3
    queries, _ = made_up(50, seed=9)
    found = Index(tmp_path).search(queries, 10)
    exact = queries @ rows.T
    wanted = np.argsort(-exact, axis=1)[:, :10]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.positions, wanted, strict=True)]) > 0.95
    np.testing.assert_allclose(found.scores, np.take_along_axis(exact, found.positions, axis=1), atol=1e-3)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_counts_are_those_of_the_items(tmp_path):
    add(tmp_path, made_up(30), made_up(5, seed=1, modality="audio"), segment_rows=20)
    add(tmp_path, made_up(4, seed=2, modality="audio"), segment_rows=20)
    assert Index(tmp_path).counts == {"image": 30, "audio": 9}


@pytest.mark.parametrize("fails_at", range(1, 9))
def test_a_writer_that_dies_leaves_whole_segments_and_the_next_one_ends_alike(tmp_path, monkeypatch, fails_at):
    """Every write of a file is a moment to die at."""
    add(tmp_path, made_up(30), segment_rows=50)
    calls = []

    def dying(write):
        def wrapped(*args, **kwargs):
            calls.append(write)
            if len(calls) == fails_at:
                raise KeyboardInterrupt
            return write(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("build", "write_items", "write_description"):
            patch.setattr(module, name, dying(getattr(module, name)))
        with pytest.raises(KeyboardInterrupt):
            add(tmp_path, made_up(100, seed=1), segment_rows=50)
    vectors, ids = content(tmp_path)
    wanted = [*made_up(30)[1]["id"].to_pylist(), *made_up(100, seed=1)[1]["id"].to_pylist()]
    assert ids == wanted[: len(ids)]
    assert len(ids) in (30, 50, 100)
    left = len(wanted) - len(ids)
    rows, table = made_up(100, seed=1)
    add(tmp_path, (rows[-left:], table.slice(100 - left)), segment_rows=50)
    vectors, ids = content(tmp_path)
    assert ids == wanted
    np.testing.assert_allclose(vectors, np.concatenate([made_up(30)[0], rows]), atol=1e-6)
    assert len(files(tmp_path)) == 2 * 3


def test_two_writers_at_once_do_not_lose_anything(tmp_path):
    add(tmp_path, made_up(30))
    late = IndexWriter(tmp_path, read_description(tmp_path))
    late.add(*made_up(5, seed=1))
    add(tmp_path, made_up(7, seed=2))
    with pytest.raises(IndexFolderError, match="was changed by another process meanwhile. Give the command again"):
        late.finish()
    assert Index(tmp_path).num_items == 37


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "fusemix.index", "version": 9}', '{"format": "x"'])
def test_a_damaged_or_foreign_description_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(IndexFolderError, match=r"index.json is .*no index of fusemix. Choose another folder"):
        Index(tmp_path)


@pytest.mark.parametrize("changes", [{"model": 5}, {"dim": None}, {"sources": 5}, {"sources": [5]}, {"segments": [{}]}])
def test_a_description_of_another_shape_is_refused(tmp_path, changes):
    add(tmp_path)
    path = tmp_path / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(IndexFolderError, match=r"index.json is damaged.*--overwrite"):
        Index(tmp_path)


def test_what_is_no_index_is_said(tmp_path):
    with pytest.raises(IndexFolderError, match="has no index.json, so it is no index. Make one: fusemix index"):
        Index(tmp_path)
    add(tmp_path)
    with pytest.raises(IndexFolderError, match="holds no items. Add some"):
        Index(tmp_path)


def test_a_position_that_is_not_there_is_an_error(tmp_path):
    add(tmp_path, made_up(5))
    for wrong in (-1, 5):
        with pytest.raises(IndexError):
            Index(tmp_path).items([wrong])


def test_what_an_index_says_of_itself_is_plain(tmp_path):
    add(tmp_path, made_up(5))
    said = json.loads((tmp_path / "index.json").read_text())
    (segment,) = said["segments"]
    seals = segment.pop("files")
    name = segment.pop("name")
    assert segment == {"counts": {"image": 5}, "kind": "Flat", "probes": 0, "candidates": 0, "found": 1.0}
    assert files(tmp_path) == sorted(f"{name}{suffix}" for suffix in seals)
    for suffix, seal in seals.items():
        raw = (tmp_path / "segments" / f"{name}{suffix}").read_bytes()
        frame = raw[: seal["bulk"][0]] + raw[seal["bulk"][1] :]
        assert seal["num_bytes"] == len(raw)
        assert seal["sha256"] == hashlib.sha256(raw).hexdigest()
        assert seal["frame_sha256"] == hashlib.sha256(frame).hexdigest()
    assert said["dim"] == DIM
    assert said["model"] == MODEL
