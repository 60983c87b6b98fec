"""Near duplicates by vectors alone: leaders of a result list, and groups of a whole index."""

import shutil

import numpy as np
import pytest
from table_samples import DIM, MODEL, SOURCES, add, made_up

from fusemix.search import duplicates
from fusemix.search.description import Description
from fusemix.search.duplicates import Groups, duplicate_groups, leaders_of
from fusemix.search.folder import Index
from fusemix.search.writer import IndexWriter

NEAR = 0.95


def burst(rows, seed, share=0.05):
    """Copies of vectors that are a little off."""
    noise = np.random.default_rng(seed).standard_normal(rows.shape).astype(np.float32)
    found = rows + share * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def by_definition(vectors, kinds, threshold):
    """Components of the graph of near items, by walking it."""
    near = (vectors @ vectors.T >= threshold) & (kinds[:, None] == kinds[None])
    left, found = set(range(len(vectors))), []
    while left:
        group, waiting = set(), [min(left)]
        while waiting:
            place = waiting.pop()
            group.add(place)
            waiting += set(np.flatnonzero(near[place]).tolist()) - group
        left -= group
        found.append(sorted(group))
    return sorted((group for group in found if len(group) > 1), key=lambda group: (-len(group), group[0]))


def test_an_item_follows_the_first_leader_of_its_modality_that_it_is_near_to():
    angles = np.radians([0, 15, 30, 90, 91, 1])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    kinds = ["image"] * 5 + ["text"]
    assert leaders_of(vectors, kinds, NEAR).tolist() == [0, 0, 2, 3, 3, 5], "no chains: 30 degrees lead themselves"
    assert leaders_of(vectors[:0], [], NEAR).tolist() == []
    assert leaders_of(np.float32(0.99) * vectors[:1], ["image"], 1.0).tolist() == [0]


def test_places_hang_together_by_any_chain():
    groups = Groups(8)
    groups.join(np.array([6, 1, 3]), np.array([5, 2, 3]))
    groups.join(np.array([2, 0]), np.array([5, 7]))
    assert [group.tolist() for group in groups.several()] == [[1, 2, 5, 6], [0, 7]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """600 items, of which some are near copies, over several batches; and one of another modality."""
    place = tmp_path_factory.mktemp("index")
    rows, about = made_up(400)
    first = burst(rows[:60], 1)
    second = burst(first[:20], 2)
    sound, of_sound = made_up(400, seed=5, modality="audio")
    add(
        place, (rows, about), (first, made_up(60, seed=1)[1]), (second, made_up(20, seed=2)[1]),
        (rows[:1], of_sound.slice(0, 1)), (sound[100:119], of_sound.slice(100, 19)),
    )  # fmt: skip
    return place


def test_groups_of_an_index_are_those_of_the_graph_of_near_items(folder):
    index, done = Index(folder), []
    everywhere = list(range(index.num_items))
    kinds = np.array([item["modality"] for item in index.items(everywhere)])
    wanted = by_definition(index.vectors(everywhere), kinds, NEAR)
    assert duplicate_groups(index, NEAR, done.append) == wanted
    assert sum(done) == index.num_items == 500
    assert {len(group) for group in wanted} >= {2, 3}
    assert not any(400 + 60 + 20 in group for group in wanted), "a sound is no duplicate of a picture"
    assert duplicate_groups(index, 1.0, done.append) == []


def test_a_large_index_is_compared_in_cells_and_gives_the_same_groups(folder, monkeypatch):
    exact, done = duplicate_groups(Index(folder), NEAR, lambda count: None), []
    monkeypatch.setattr(Index, "is_exact", False)
    monkeypatch.setattr(duplicates, "IN_CELL", 20)
    assert duplicate_groups(Index(folder), NEAR, done.append) == exact
    assert (len(done), sum(done)) == (25, 500)


def test_a_cell_that_is_too_large_for_memory_is_compared_in_pieces(folder, monkeypatch):
    whole = duplicate_groups(Index(folder), NEAR, lambda count: None)
    monkeypatch.setattr(duplicates, "PIECE", 7)
    monkeypatch.setattr(duplicates, "BLOCK", 3)
    assert duplicate_groups(Index(folder), NEAR, lambda count: None) == whole


def test_what_was_removed_is_in_no_group(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "index")
    before = duplicate_groups(Index(tmp_path / "index"), NEAR, lambda count: None)
    writer = IndexWriter(tmp_path / "index", Index(tmp_path / "index").description)
    writer.remove(["0/0"])
    writer.finish(dict)
    after = duplicate_groups(Index(tmp_path / "index"), NEAR, lambda count: None)
    gone = 0
    assert sorted(map(tuple, after)) == sorted(
        tuple(one for one in group if one != gone) for group in before if len(set(group) - {gone}) > 1
    )


def test_what_is_added_to_scores_does_not_count(tmp_path):
    rows, about = made_up(30)
    wide = np.concatenate([np.concatenate([rows, rows[:5]]), np.linspace(-3, 3, 35, dtype=np.float32)[:, None]], axis=1)
    writer = IndexWriter(tmp_path, Description(MODEL, DIM, sources=SOURCES, hub_queries=["text"]))
    writer.add(wide[:30], about)
    writer.add(wide[30:], made_up(5, seed=1)[1])
    writer.finish(dict)
    assert duplicate_groups(Index(tmp_path), NEAR, lambda count: None) == [[n, 30 + n] for n in range(5)]
