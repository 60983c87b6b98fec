"""An index is searched, added to and removed from: what was in it stays, whatever happens in between."""

import json
import multiprocessing
import threading

import numpy as np
import pytest
from table_samples import DIM, MODEL, SOURCES, add, clustered, content, made_up

from fusemix.errors import IndexFolderError
from fusemix.search.description import Description, read_description
from fusemix.search.folder import Index
from fusemix.search.writer import IndexWriter


def test_what_is_added_can_be_searched_by_cosine(tmp_path):
    rows, table = made_up(300)
    add(tmp_path, (rows, table))
    index = Index(tmp_path)
    assert index.is_exact
    queries, _ = made_up(20, seed=9)
    scores, positions = index.search(queries, 5)
    exact = queries @ rows.T
    assert (positions == np.argsort(-exact, axis=1, kind="stable")[:, :5]).all()
    np.testing.assert_allclose(scores, np.take_along_axis(exact, positions, axis=1), atol=1e-6)
    assert index.items([7])[0]["id"] == "0/7"
    assert index.find("0/7") == 7
    assert index.find("1/7") is None
    assert index.find("' or '1'='1") is None


def test_additions_leave_every_position_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("fusemix.search.writer.MOST_FRAGMENTS", 2)  # so that the table is put together
    parts = [made_up(count, seed) for seed, count in enumerate((30, 1, 12, 5))]
    for number, part in enumerate(parts, start=1):
        add(tmp_path, part)
        vectors, ids = content(tmp_path)
        np.testing.assert_allclose(vectors, np.concatenate([rows for rows, _ in parts[:number]]), atol=1e-6)
        assert ids == [item for _, table in parts[:number] for item in table["id"].to_pylist()]


def test_a_new_index_leaves_no_second_copy_of_its_vectors(tmp_path, monkeypatch):
    monkeypatch.setattr("fusemix.search.writer.MOST_FRAGMENTS", 4)
    writer = IndexWriter(tmp_path, Description(MODEL, DIM, sources=SOURCES))
    for seed in range(8):
        writer.add(*made_up(2000, seed))
    writer.finish(dict)
    vectors, _ = content(tmp_path)
    on_disk = sum(file.stat().st_size for file in (tmp_path / "items.lance" / "data").iterdir())
    assert vectors.nbytes < on_disk < 2 * vectors.nbytes


def test_equal_scores_stand_in_order_of_position(tmp_path):
    rows, table = made_up(60)
    rows[:] = rows[0]
    add(tmp_path, (rows[:25], table[:25]), (rows[25:], table[25:]))
    assert Index(tmp_path).search(rows[:1], 60).positions[0].tolist() == list(range(60))


def test_one_modality_is_searched_as_if_it_were_alone(tmp_path):
    pictures, sounds = made_up(30), made_up(9, seed=1, modality="audio")
    add(tmp_path, pictures, sounds)
    index = Index(tmp_path)
    assert index.counts == {"image": 30, "audio": 9}
    found = index.search(made_up(4, seed=9)[0], 20, "modality = 'audio'")
    exact = made_up(4, seed=9)[0] @ sounds[0].T
    assert (found.positions == 30 + np.argsort(-exact, axis=1)).all()


def test_rows_are_given_in_the_order_asked_for_and_as_often(tmp_path):
    add(tmp_path, made_up(9))
    assert [item["id"] for item in Index(tmp_path).items([5, 0, 5])] == ["0/5", "0/0", "0/5"]
    assert Index(tmp_path).items([]) == []
    assert Index(tmp_path).spread(3) == [1, 4, 7]
    for wrong in (-1, 9):
        with pytest.raises(IndexError, match=f"there is no item {wrong}"):
            Index(tmp_path).items([wrong])
        assert not Index(tmp_path).holds(wrong)


# More items than are compared one by one


@pytest.mark.usefixtures("large_from_1000")
def test_a_large_index_finds_what_it_promises_for_queries_that_are_no_items(tmp_path):
    rows, table = clustered(4000)
    asked = {"text": clustered(64, seed=5)[0], "image": clustered(64, seed=6)[0]}
    about = add(tmp_path, (rows, table), asked=lambda: asked)
    assert [depth.k for depth in about.depths] == [10, 100, 1000]
    index, queries = Index(tmp_path), clustered(200, seed=7)[0]
    assert not index.is_exact
    exact = np.argsort(-(queries @ rows.T), axis=1)
    for depth in about.depths:
        assert set(depth.found) == {"text", "image"}
        found = index.search(queries, depth.k)
        share = np.mean([len(np.intersect1d(*both)) for both in zip(found.positions, exact[:, : depth.k], strict=True)])
        assert share / depth.k == pytest.approx(min(depth.found.values()), abs=0.03)
        assert share / depth.k > 0.95
        scores = np.take_along_axis(queries @ rows.T, found.positions, axis=1)
        np.testing.assert_allclose(found.scores, scores, atol=1e-5)
    assert (index.search(queries[:3], 4000).positions >= 0).any()


@pytest.mark.usefixtures("large_from_1000")
def test_an_index_that_becomes_large_and_grows_on_finds_its_newest_items(tmp_path):
    assert add(tmp_path, made_up(900)).depths == []
    about = add(tmp_path, made_up(900, seed=1))
    assert about.num_tuned == 1800
    assert list(about.depths[0].found) == ["like"], "nothing else is known to be asked"
    again = add(tmp_path, made_up(10, seed=2))
    assert again.depths == about.depths, "it has hardly grown"
    rows = np.concatenate([made_up(900)[0], made_up(900, seed=1)[0], made_up(10, seed=2)[0]])
    found = Index(tmp_path).search(rows[[3, 1500, 1805]], 1).positions[:, 0]
    assert found.tolist() == [3, 1500, 1805]
    assert add(tmp_path, made_up(900, seed=3)).num_tuned == 2710


# Two at once, and killed in between


def test_a_reader_sees_what_is_added_and_removed_since(tmp_path):
    rows, table = made_up(30)
    add(tmp_path, (rows, table))
    opened = Index(tmp_path)
    more = made_up(5, seed=1)
    add(tmp_path, more)
    assert opened.search(more[0][:2], 1).positions[:, 0].tolist() == [30, 31]
    writer = IndexWriter(tmp_path, read_description(tmp_path))
    writer.remove(["0/3", "0/4"])
    assert opened.search(rows[[3, 5]], 1).positions[:, 0].tolist()[1] == 5
    assert 3 not in opened.search(rows[[3]], 33).positions
    assert (opened.find("0/3"), opened.find("0/5"), opened.num_items) == (None, 5, 33)
    with pytest.raises(IndexError):
        opened.items([3])
    writer.add(rows[3:4], table[3:4])
    assert opened.find("0/3") == 35, "a number is never given twice"


def test_two_writers_twenty_times_lose_nothing(tmp_path):
    """As where nothing keeps them apart."""
    add(tmp_path, made_up(3))
    description = read_description(tmp_path)

    def write(first):
        writer = IndexWriter(tmp_path, description)
        for number in range(20):
            writer.add(*made_up(2, seed=first + number))

    threads = [threading.Thread(target=write, args=(first,)) for first in (100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, ids = content(tmp_path)
    assert sorted(ids) == sorted(
        [f"0/{n}" for n in range(3)] + [f"{s}/{n}" for s in [*range(100, 120), *range(200, 220)] for n in range(2)]
    )


def _die_while_adding(place):
    writer = IndexWriter(place, Description(MODEL, DIM, sources=SOURCES))
    for number in range(1000):
        writer.add(*made_up(50, seed=number))


def test_of_a_killed_writer_all_that_was_added_is_there(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_while_adding, args=(tmp_path,))
    process.start()
    versions = tmp_path / "items.lance" / "_versions"
    while not versions.is_dir() or len(list(versions.glob("*.manifest"))) < 9:
        assert process.is_alive()
    process.kill()
    process.join()
    vectors, ids = content(tmp_path)
    assert len(ids) >= 7 * 50
    assert len(ids) % 50 == 0
    assert ids == [f"{number}/{n}" for number in range(len(ids) // 50) for n in range(50)]
    np.testing.assert_allclose(vectors[300:350], made_up(50, seed=6)[0], atol=1e-6)
    add(tmp_path, made_up(5, seed=5000))
    assert Index(tmp_path).num_items == len(ids) + 5


def test_another_index_that_takes_the_place_of_an_opened_one_is_searched(tmp_path):
    add(tmp_path / "a", made_up(30))
    add(tmp_path / "b", made_up(7, seed=1))
    opened = Index(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "b").rename(tmp_path / "a")
    assert (opened.num_items, opened.find("1/6"), opened.find("0/6")) == (7, 6, None)


# What is no index


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "fusemix.index", "version": 0}', '{"format": "x"'])
def test_a_damaged_or_foreign_description_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(IndexFolderError, match=r"index.json is .*no index of fusemix. Choose another folder"):
        Index(tmp_path)


def test_an_index_of_a_newer_version_is_told_from_damage(tmp_path):
    (tmp_path / "index.json").write_text('{"format": "fusemix.index", "version": 99}')
    with pytest.raises(IndexFolderError, match=r"made by a newer fusemix: its index is of version 99.* Update fusemix"):
        Index(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        *({"model": 5}, {"dim": None}, {"dim": 0}, {"sources": 5}, {"sources": [5]}, {"hub_levels": {"a": 1e9}}),
        *({"depths": [{}]}, {"depths": [{"k": 0, "probes": 1, "candidates": 1, "found": {}}]}, {"precision": "int4"}),
    ],
)
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


def test_vectors_of_another_width_are_damage(tmp_path):
    add(tmp_path, made_up(5))
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace(f'"dim": {DIM}', f'"dim": {DIM + 1}'))
    with pytest.raises(IndexFolderError, match=f"no table of items with vectors of width {DIM + 1}"):
        Index(tmp_path)


def test_nothing_is_written_or_deleted_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "items.lance").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IndexFolderError, match=r"items\.lance is a symbolic link, and nothing is written or deleted"):
        add(tmp_path / "index", made_up(5))
    assert list((tmp_path / "elsewhere").iterdir()) == []
