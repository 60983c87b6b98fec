"""What there is to choose from: values of columns, each with the items that would be left if it were chosen, too."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from table_samples import add, known, made_up

from fusemix.search.facets import top_folders
from fusemix.search.folder import Index


def test_values_are_counted_as_python_counts_them(filtered):
    index, _, rows = filtered
    facets = {one.name: dict(one.values) for one in index.facets()}
    assert list(facets) == ["folder", "taken", "camera", "stars", "is_sharp", "author"]
    assert facets["camera"] == {name: sum(row["camera"] == name for row in rows) for name in facets["camera"]}
    assert set(facets["camera"]) == {"X100", 'O\'Neill "5" `D`'}
    assert list(facets["taken"]) == ["2023", "2022", "2021", "2020"]
    assert set(facets["folder"]) == {"a", "a b"} and set(facets["stars"]) == {"1", "2", "3", "4", "5"}
    for name, values in facets.items():
        for value, count in values.items():
            assert index.count(index.condition({name: value})) == count, (name, value)


def test_counts_follow_the_index(tmp_path):
    vectors, table = made_up(20)
    add(tmp_path, (vectors, known(table)[0]))
    index = Index(tmp_path)
    before = dict(next(one for one in index.facets() if one.name == "author").values)
    assert index.facets() is index.facets(), "they are counted once"
    vectors, table = made_up(4, seed=1)
    add(tmp_path, (vectors, known(table)[0]))
    assert dict(next(one for one in index.facets() if one.name == "author").values) == {
        name: count + 1 for name, count in before.items()
    }


def test_what_all_items_have_and_what_is_different_in_each_is_no_choice(tmp_path):
    vectors, table = made_up(30)
    table = table.append_column("same", pa.array(["x"] * 30)).append_column("name", pa.array(map(str, range(30))))
    add(tmp_path, (vectors, table))
    assert Index(tmp_path).facets() == []


def test_the_folders_below_the_common_one_are_told():
    assert top_folders({"p/q/a/x": 2, "p/q/a": 1, "p/q/b": 4}) == {"p/q/a": 3, "p/q/b": 4}
    assert top_folders({"": 5, "a/x": 2, "b": 1}) == {"a": 2, "b": 1}
    assert top_folders({"p/q": 4, "p/q/a": 1}) == {"p/q/a": 1}
    assert top_folders({"p/q": 4}) == top_folders({}) == {}
    assert top_folders({"/x/a": 1, "/x/b": 1}) == {"/x/a": 1, "/x/b": 1}


def call(name, *arguments, **options):
    return pc.call_function(name, list(arguments), **options)


def is_in(*values):
    return lambda column: call("is_in", column, options=pc.SetLookupOptions(pa.array(values)))


PASSING = {
    "folder": ("a", lambda column: call("match_substring_regex", column, options=pc.MatchSubstringOptions("^a(/|$)"))),
    "taken": ("2021..2022", lambda column: is_in(2021, 2022)(call("year", column))),
    "camera": (["X100", "nobody's"], is_in("X100")),
    "stars": ({"min": 3}, lambda column: call("greater_equal", column, pa.scalar(3.0))),
    "is_sharp": (True, lambda column: column),
    "author": (["author 0", "author 3"], is_in("author 0", "author 3")),
}
"""Column -> a filter, and what it lets through to pyarrow."""
CHOSEN = [["camera"], ["folder", "stars"], ["taken"], ["is_sharp", "author", "folder"], list(PASSING)]


@pytest.mark.parametrize("modality", [None, "image", "audio"])
@pytest.mark.parametrize("chosen", CHOSEN)
def test_beside_what_is_chosen_values_are_counted_as_pyarrow_counts_them(filtered, chosen, modality):
    index, _, rows = filtered
    table = pa.Table.from_pylist(rows, pa.schema([*KINDS.items()])).append_column("modality", pa.array(["image"] * 240))
    found = index.facets({name: PASSING[name][0] for name in chosen}, modality and f"modality = '{modality}'")
    assert [one.name for one in found] == [one.name for one in index.facets()], "no column comes or goes"
    for name, kind, values in found:
        passes = call("equal", table["modality"], pa.scalar(modality or "image"))
        for other in chosen:
            passes = passes if other == name else call("and", passes, PASSING[other][1](table[other]))
        column = table.filter(passes)[name]
        column = call("year", column) if kind == "date" else column
        if name == "folder":
            column = call("replace_substring_regex", column, options=pc.ReplaceSubstringOptions("/.*", ""))
        wanted = {
            str(one["values"]): one["counts"]
            for one in call("value_counts", column).to_pylist()
            if one["values"] not in (None, "")
        }
        assert dict(values) == {told(value): count for value, count in wanted.items()}, name


KINDS = {
    "path": pa.string(), "taken": pa.timestamp("s"), "camera": pa.string(), "stars": pa.float64(),
    "is_sharp": pa.bool_(), "author": pa.string(), "folder": pa.string(),
}  # fmt: skip


def told(value):
    return {"True": "true", "False": "false"}.get(value, value.removesuffix(".0"))


def test_each_count_is_that_of_the_search_in_which_the_value_is_chosen_alone_in_its_column(filtered):
    index = filtered[0]
    given = {"folder": "a", "stars": ["1", "2"], "author": "author 1"}
    for name, _, values in index.facets(given):
        for value, count in values:
            assert index.count(index.condition({**given, name: value})) == count > 0, (name, value)


def test_values_that_nothing_is_left_with_are_not_named_but_those_beside_the_chosen_one_are(filtered):
    index = filtered[0]
    found = {one.name: dict(one.values) for one in index.facets({"author": "author 1"})}
    assert set(found["author"]) == {f"author {n}" for n in range(4)}
    assert set(found["is_sharp"]) == {"false"}, "author 1 has every fourth item from 1 on"
    nothing = {one.name: one.values for one in index.facets({"author": "nobody"})}
    assert [name for name, values in nothing.items() if values] == ["author"]


def test_folders_stay_those_right_below_the_common_one_whatever_is_chosen(tmp_path):
    vectors, table = made_up(12)
    paths = [f"top/{'x' if n < 8 else 'y'}/{n % 2}/{n}.jpg" for n in range(12)]
    table = table.set_column(2, "path", pa.array(paths)).append_column(
        "stars", pa.array([n // 4 * 1.0 for n in range(12)])
    )
    add(tmp_path, (vectors, table))
    folders = {one.name: dict(one.values) for one in Index(tmp_path).facets({"stars": 0})}["folder"]
    assert folders == {"top/x": 4}


def test_many_rows_are_read_in_several_batches(filtered, monkeypatch):
    whole = filtered[0].facets({"folder": "a"})
    monkeypatch.setattr("fusemix.search.facets.AT_ONCE", 7)
    assert Index(filtered[0].folder).facets({"folder": "a"}) == whole
