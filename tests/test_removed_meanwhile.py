"""What another process removes between two questions of one search is left out of it: no error, and no other item."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from index_samples import asked
from removals import GONE, LEFT, SIZE, index_of_pictures, remove_before

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import QueryError
from fusemix.models.places import Place
from fusemix.models.queries import LIKE, Query
from fusemix.search import handing_over
from fusemix.search.folder import Index
from fusemix.search.handing_over import write_parquet
from fusemix.wiring.searching.editing import remove
from fusemix.wiring.searching.grouping import grouped
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    return index_of_pictures(tiny, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def out(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "index")


def left(hits):
    return [hit for hit in hits if hit.id not in GONE]


@pytest.mark.parametrize("lookup", [1, 2, 3])
@pytest.mark.parametrize("words", [[], ["3"]])
def test_a_search_finds_what_is_left(out, monkeypatch, words, lookup):
    searcher = Searcher(out, device="cpu")
    vectors = asked(searcher, [Query("text", "a red bar")])
    before = searcher.search(vectors, SIZE, None, [words])
    assert {hit.id for hit in before[0]} > set(GONE)
    calls = remove_before(lookup, out, monkeypatch)
    (found,) = searcher.search(vectors, SIZE, None, [words])
    wanted = left(before[0]) if len(calls) >= lookup else before[0]
    assert [hit._replace(score=0) for hit in found] == [hit._replace(score=0) for hit in wanted]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted], abs=1e-6)


@pytest.mark.parametrize("lookup", [1, 2])
def test_groups_are_those_of_what_is_left(out, monkeypatch, lookup):
    searcher = Searcher(out, device="cpu")
    (vector,) = asked(searcher, [Query("text", "a red bar")])
    remove_before(lookup, out, monkeypatch)
    found = grouped(searcher, vector, SIZE)
    every = [*found.hits, *(hit for others in found.duplicates for hit in others)]
    assert sorted(hit.id for hit in every) == sorted(LEFT)
    assert found == grouped(searcher, vector, SIZE), "as if they had never been there"


def test_an_item_that_goes_while_it_is_asked_by_is_not_in_the_index(out, monkeypatch):
    searcher = Searcher(out, device="cpu")
    remove_before(1, out, monkeypatch)
    with pytest.raises(QueryError, match=r"no item of the index has the id 'photos/3\.png'"):
        searcher.embed([Query(LIKE, "photos/5.png"), Query(LIKE, "photos/3.png")])


def test_an_item_whose_modality_is_looked_up_is_not_in_the_index_either(out, monkeypatch):
    searcher = Searcher(out, device="cpu")
    remove_before(1, out, monkeypatch)
    with pytest.raises(QueryError, match=r"no item of the index has the id 'photos/12\.png'"):
        searcher.weights([Query(LIKE, "photos/12.png")])


def test_what_is_gone_lies_nowhere_and_shows_nothing(out, monkeypatch):
    searcher = Searcher(out, device="cpu")
    positions = [searcher.index.find(one) for one in (*GONE, "photos/5.png")]
    before = searcher.places(positions)
    remove_before(1, out, monkeypatch)
    assert searcher.places(positions) == [Place(None), Place(None), before[2]]
    assert [searcher.content(position) is None for position in positions] == [True, True, False]
    assert searcher.content(-1) is None


@pytest.mark.parametrize("lookup", [1, 2])
def test_groups_of_the_whole_index_are_those_of_what_is_left(out, monkeypatch, lookup):
    remove_before(lookup, out, monkeypatch)
    found = run_command("duplicates", [str(out), "--threshold", "0.97"])
    index = Index(out)
    ids = [item for batch in index.columns(["id"]) for item in batch["id"].to_pylist()]
    vectors = index.vectors([index.find(one) for one in ids])
    joined = vectors @ vectors.T >= 0.97
    for _ in ids:
        joined = joined @ joined
    wanted = {frozenset(np.array(ids)[row].tolist()) for row in joined if row.sum() > 1}
    assert {frozenset(group) for group in found} == wanted
    assert any({"photos/13.png", "photos/14.png"} <= set(group) for group in found)
    assert [len(group) for group in found] == sorted(map(len, found), reverse=True)


def test_hits_of_before_show_what_is_left(out, monkeypatch):
    hits = fusemix.SearchIndex(out, device="cpu").search("a red bar", k=SIZE)
    place = next(place for place, hit in enumerate(hits) if hit.id == GONE[0])
    remove_before(1, out, monkeypatch)
    assert GONE[0] in repr(hits)
    assert hits.content(place) is None
    assert hits._repr_html_().count("<img") == len(LEFT)


def test_an_index_that_is_handed_over_is_that_of_the_beginning(out, tmp_path, monkeypatch):
    monkeypatch.setattr(handing_over, "ROWS_IN_FILE", 10)
    (tmp_path / "handed").mkdir()
    told = []

    def advance(count):
        told.append(count)
        if len(told) == 1:
            remove(out, GONE)

    write_parquet(Index(out), tmp_path / "handed", advance)
    ids = [one for path in (tmp_path / "handed").glob("*.parquet") for one in pq.read_table(path)["id"].to_pylist()]
    assert sorted(ids) == sorted([*LEFT, *GONE])
    said = json.loads((tmp_path / "handed" / "export.json").read_text())
    assert (said["num_items"], said["counts"]) == (SIZE, {"image": SIZE})
