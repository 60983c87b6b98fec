"""Filters let through what plain Python lets through, before the search, and refuse the rest in one sentence."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from table_samples import add, clustered, known, made_up

from fusemix.errors import QueryError
from fusemix.search.description import read_description
from fusemix.search.filters import condition_of, filter_of, period, words_of
from fusemix.search.folder import Index
from fusemix.search.table import ABOUT, open_table

CASES = [
    ({"camera": "X100"}, lambda one: one["camera"] == "X100"),
    ({"camera": 'O\'Neill "5" `D`'}, lambda one: one["camera"] == 'O\'Neill "5" `D`'),
    ({"camera": ["X100", "nobody's"]}, lambda one: one["camera"] == "X100"),
    ({"folder": "a"}, lambda one: one["folder"] == "a" or one["folder"].startswith("a/")),
    ({"folder": "a b/1/**"}, lambda one: one["folder"] == "a b/1"),
    ({"folder": ["a/0/", "a/2/*"]}, lambda one: one["folder"] in ("a/0", "a/2")),
    ({"taken": "2021"}, lambda one: one["taken"] is not None and one["taken"].year == 2021),
    ({"taken": 2021}, lambda one: one["taken"] is not None and one["taken"].year == 2021),
    (
        {"taken": {"from": "2021-10", "to": "2022-3"}},
        lambda one: one["taken"] is not None and (2021, 10) <= (one["taken"].year, one["taken"].month) <= (2022, 3),
    ),
    (
        {"taken": "2022-03-03.."},
        lambda one: one["taken"] is not None and one["taken"] >= datetime(2022, 3, 3),
    ),
    ({"stars": {"min": 3}}, lambda one: (one["stars"] or 0) >= 3),
    ({"stars": "..2"}, lambda one: one["stars"] is not None and one["stars"] <= 2),
    ({"stars": ["1", 5]}, lambda one: one["stars"] in (1, 5)),
    ({"is_sharp": True}, lambda one: one["is_sharp"]),
    ({"is_sharp": "false"}, lambda one: not one["is_sharp"]),
    (
        {"is_sharp": True, "author": ["author 0", "author 2"], "stars": "2..4"},
        lambda one: one["is_sharp"] and one["author"] in ("author 0", "author 2") and 2 <= (one["stars"] or 0) <= 4,
    ),
    ({}, lambda one: True),
]


@pytest.mark.parametrize(("given", "wanted"), CASES)
def test_what_is_found_is_the_best_of_what_passes(filtered, given, wanted):
    index, vectors, rows = filtered
    where, passes = index.condition(given), np.array([bool(wanted(row)) for row in rows])
    assert passes.any()
    assert (index.num_items if where is None else index.count(where)) == passes.sum()
    queries = made_up(3, seed=9)[0]
    exact = np.where(passes, queries @ vectors.T, -np.inf)
    most = min(10, int(passes.sum()))
    assert (index.search(queries, 10, where).positions == np.argsort(-exact, axis=1)[:, :most]).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"camara": "X"}, r"no column 'camara' to filter by\. Did you mean 'camera'\? Known: folder, taken, camera, "),
        ({"vector": "1"}, "no column 'vector'"),
        ({"id": "x"}, "no column 'id'"),
        ({"modality": "image"}, "modality is no filter, but a setting beside it"),
        ({"taken": "2023-13"}, r"taken has '2023-13', which is no date\. Write a year, a month or a day"),
        ({"taken": "may..june"}, "'may', which is no date"),
        ({"taken": True}, "no date"),
        ({"taken": {"min": 3}}, "taken has 'min', but a range has from and to"),
        ({"taken": {}}, "taken has nothing"),
        ({"taken": ".."}, "a range without ends"),
        ({"stars": "many"}, "stars has 'many', but the column holds numbers"),
        ({"stars": "nan"}, "holds numbers"),
        ({"stars": True}, "holds numbers"),
        ({"stars": {"min": "1 OR 1=1"}}, "holds numbers"),
        ({"is_sharp": "perhaps"}, "holds true and false"),
        ({"author": {"min": 1}}, "author has 'min', but it has no ranges"),
        ({"author": [["x"]]}, "holds texts"),
        ({"author": []}, "has 0 values, and not 1 to 100"),
        ({"author": ["x"] * 101}, "has 101 values"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(filtered, given, message):
    with pytest.raises(QueryError, match=message):
        filtered[0].condition(given)


@pytest.mark.parametrize(
    "nasty", ["' OR true --", "x' OR '1'='1", "\\' OR 1=1", "%", "_", "\0", "\ud800", "'" * 99, "🙂"]
)
def test_nothing_that_is_sent_becomes_a_condition_of_its_own(filtered, nasty):
    index = filtered[0]
    for name in ("author", "camera", "folder"):
        assert index.count(index.condition({name: nasty})) == 0
    assert index.count(index.condition({"author": [nasty] * 100})) == 0


@pytest.mark.parametrize(
    ("given", "begins", "ends"),
    [
        ("2023", datetime(2023, 1, 1), datetime(2024, 1, 1)),
        ("2023-12", datetime(2023, 12, 1), datetime(2024, 1, 1)),
        ("2024-02", datetime(2024, 2, 1), datetime(2024, 3, 1)),
        (" 2024-2-29 ", datetime(2024, 2, 29), datetime(2024, 3, 1)),
    ],
)
def test_a_date_is_all_that_it_does_not_say_more_closely(given, begins, ends):
    assert period("taken", given) == (begins, ends)


def test_words_are_filters_and_back():
    words = ["taken=2023-05..2023-08", "camera=Canon EOS 5D", "author=a=b", "author=c"]
    given = filter_of(words)
    assert given == {"taken": ["2023-05..2023-08"], "camera": ["Canon EOS 5D"], "author": ["a=b", "c"]}
    assert words_of(given) == words
    ranges = {"taken": {"from": "2023"}, "stars": {"min": 1, "max": 2.5}, "is_sharp": True, "n": [1, {"max": 2}]}
    assert words_of(ranges) == ["taken=2023..", "stars=1..2.5", "is_sharp=true", "n=1", "n=..2"]
    for wrong in ("camera", "=x", "camera=", " = "):
        with pytest.raises(QueryError, match=r"is none\. Write NAME=VALUE"):
            filter_of([wrong])


def test_a_condition_holds_no_words_but_ours():
    schema = pa.schema([*ABOUT, ("camera", pa.string())])
    assert condition_of({"camera": "a'b"}, schema) == "(`camera` = 'a''b')"
    assert condition_of({}, schema) is None


# Indexes that grow, large ones, and those of before


def test_a_column_that_comes_later_is_null_before_and_one_that_is_missing_after(tmp_path):
    vectors, table = made_up(5)
    add(tmp_path, (vectors, table))
    opened = Index(tmp_path)
    more, other = made_up(4, seed=1)
    add(tmp_path, (more, other.append_column("author", pa.array(["Ada"] * 4))))
    add(tmp_path, made_up(3, seed=2))
    assert opened.num_items == 12
    assert opened.count(opened.condition({"author": "Ada"})) == 4
    assert opened.search(more[:1], 1).positions[0, 0] == 5
    assert [item["id"] for item in opened.items([0, 11])] == ["0/0", "2/2"], "numbers stay"


def test_an_index_of_before_is_searched_and_gets_its_folders_when_it_is_added_to(tmp_path):
    vectors, table = made_up(6)
    add(tmp_path, (vectors, known(table)[0].select(ABOUT.names)))
    open_table(tmp_path).drop_columns(["folder", "taken", "camera"])
    index = Index(tmp_path)
    assert index.search(vectors[:1], 1).positions[0, 0] == 0
    assert index.facets() == [] and index.condition({}) is None
    with pytest.raises(QueryError, match="no column 'folder'"):
        index.condition({"folder": "a"})
    add(tmp_path, made_up(2, seed=1))
    assert index.count(index.condition({"folder": "a"})) == 3
    assert read_description(tmp_path).dim == 16


@pytest.mark.usefixtures("large_from_1000")
def test_in_a_large_index_a_filter_finds_what_comparing_all_finds(tmp_path):
    rows, table = clustered(6000)
    numbers = np.arange(6000)
    table = table.append_column("number", pa.array(numbers.astype(float)))
    table = table.append_column("is_odd", pa.array(numbers % 2 == 1)).append_column(
        "share", pa.array(numbers % 100 * 1.0)
    )
    add(tmp_path, (rows, table))
    index, queries = Index(tmp_path), clustered(100, seed=7)[0]
    assert not index.is_exact
    for given, passes in [
        ({"share": 7}, numbers % 100 == 7),
        ({"number": "0..59"}, numbers < 60),
        ({"is_odd": True}, numbers % 2 == 1),
        ({"share": {"max": 39}}, numbers % 100 < 40),
    ]:
        for k in (10, 50):
            exact = np.argsort(-np.where(passes, queries @ rows.T, -np.inf), axis=1)[:, :k]
            found = index.search(queries, k, index.condition(given)).positions
            share = np.mean([len(np.intersect1d(*both)) / k for both in zip(found, exact, strict=True)])
            assert share == 1 if passes.sum() < 1000 else share > 0.97, (given, k)
