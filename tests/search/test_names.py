"""A number that is typed finds what is called so, and changes nothing for words without one."""

import numpy as np
import pyarrow as pa
import pytest
from table_samples import DIM, MODEL, SOURCES, add, made_up

from fusemix.search.description import Description
from fusemix.search.folder import Index
from fusemix.search.names import fused, words_asked, words_of_items
from fusemix.search.table import WORDS, open_table
from fusemix.search.writer import IndexWriter
from fusemix.search.written import MOST_WRITTEN, named


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a dog", []),
        ("2 dogs and 10 people", []),
        ("IMG_1234", ["img 1234"]),
        ("img1234.JPG at night", ["img 1234 jpg"]),
        ("a Boeing 747, from 1999", ["747", "1999"]),
        ("007 007", ["007"]),
        ("", []),
    ],
)
def test_words_with_a_number_of_three_digits_are_looked_for(text, words):
    assert words_asked(text) == words


def test_names_paths_and_captions_are_words():
    about = pa.table({"id": ["p/IMG_1234.jpg"], "path": [None], "captions": [["Flight LH747"]]})
    assert words_of_items(about).to_pylist() == ["p img 1234 jpg flight lh 747"]


def test_two_rankings_are_one_by_reciprocal_ranks():
    near, called = [5, 6, 7, 8], [8, 9]
    worth = {5: 1 / 61, 6: 1 / 62, 7: 1 / 63, 8: 1 / 64 + 1 / 61, 9: 1 / 62}
    found = fused(near, called)
    assert found == sorted(worth, key=lambda item: (-worth[item], item not in called)), (
        "of equal ones, what is named so"
    )
    assert fused([3, 2], []) == [3, 2]


def items(count=200):
    vectors, table = made_up(count)
    paths = [f"{2020 + n % 2}/IMG_{n + 1000}.jpg" for n in range(count)]
    return vectors, table.set_column(2, "path", pa.array(paths))


def test_what_is_called_so_is_found_and_a_number_of_many_names_none(tmp_path):
    vectors, table = items(240)
    add(tmp_path, (vectors, table))
    index, query = Index(tmp_path), made_up(1, seed=9)[0][0]
    assert named(index, ["img 1007"], query) == [7]
    assert named(index, ["1007", "1009"], query) in ([7, 9], [9, 7])
    assert named(index, ["img 5555"], query) == named(index, [], query) == []
    assert named(index, ["2020"], query) == [] and MOST_WRITTEN < 120
    assert named(index, ["1007"], query, "modality = 'audio'") == []
    more = made_up(3, seed=1)
    add(tmp_path, (more[0], more[1].set_column(2, "path", pa.array(["x.jpg", "2020/IMG_1007.png", "z"]))))
    assert sorted(named(index, ["img 1007"], query)) == [7, 241], "what came since, too"
    exact = np.append(vectors[7] @ query, more[0][1] @ query)
    np.testing.assert_allclose(index.scores(query, [7, 241]), exact, atol=1e-6)


def test_of_items_that_are_called_alike_the_nearest_is_first(tmp_path):
    vectors, table = made_up(50)
    add(tmp_path, (vectors, table.set_column(2, "path", pa.array(["1999/x.jpg"] * 50))))
    query = made_up(1, seed=9)[0][0]
    found = named(Index(tmp_path), ["1999"], query)
    by_words = open_table(tmp_path).search().select([WORDS]).to_arrow()[WORDS].to_pylist()
    alike = [n for n in range(50) if len(by_words[n].split()) == len(by_words[30].split())]
    nearest = sorted(alike, key=lambda n: -float(vectors[n] @ query))
    assert [n for n in found if n in alike] == nearest


def test_an_index_without_words_finds_by_vectors_alone(tmp_path):
    vectors, table = items()
    add(tmp_path, (vectors, table))
    open_table(tmp_path).drop_columns([WORDS])
    index = Index(tmp_path)
    assert named(index, ["img 1007"], vectors[0]) == []
    add(tmp_path, made_up(2, seed=1))
    assert index.num_items == 202
    IndexWriter(tmp_path / "begun", Description(MODEL, DIM, sources=SOURCES)).add(vectors, table)
    assert named(Index(tmp_path / "begun"), ["img 1007"], vectors[0]) == [], "a killed command has not indexed them yet"
