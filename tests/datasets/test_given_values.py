"""What values say: captions, names and splits, by one rule whatever holds them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.datasets.given_values import captions_in, id_text, name_in, plain_path, split_in, unique_pairs

TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_a_list_gives_the_same_captions_as_it_does_written_out_in_json_or_python(texts):
    assert captions_in(texts) == captions_in(json.dumps(texts)) == captions_in(json.dumps(texts, ensure_ascii=False))
    assert captions_in(str(texts)) == captions_in(str((*texts, "")))[:-1] == texts


def test_a_list_as_numpy_prints_it_gives_each_of_its_texts():
    texts = ["a cat", "it's a black cat", 'a "cat" on a mat that is long enough to break the line of what is printed']
    assert captions_in(str(np.array(texts))) == texts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a cat",
        "[noise]",
        "[1]",
        "[1, 2]",
        "{a}",
        "[",
        "[]x",
        "['a' or 'b']",
        "(a)",
        "('a')",
        "nan",
        "[" * 9_000,
    ],
)
def test_any_other_text_is_one_caption(text):
    assert captions_in(text) == [text]


@pytest.mark.parametrize(
    ("value", "captions"),
    [
        (None, [""]),
        (float("nan"), [""]),
        ([], []),
        ("[]", []),
        ("{}", []),
        (["a", None, float("nan")], ["a", "", ""]),
        ('["a", null]', ["a", ""]),
        ("['a', nan]", ["a", ""]),
        (" ('a', 'b') ", ["a", "b"]),
        ("{'a'}", ["a"]),
        ([{"raw": "a"}, {"caption": "b"}, {"text": "c", "id": 1}], ["a", "b", "c"]),
        ({"raw": "a"}, ["a"]),
        ({"caption": None}, [""]),
        ('{"raw": "a"}', ["a"]),
        ("[{'raw': 'a'}, {'raw': 'b'}]", ["a", "b"]),
    ],
)
def test_missing_values_and_objects(value, captions):
    assert captions_in(value) == captions


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "^the number 0$"),
        (5, "^the number 5$"),
        (1.5, "^the number 1.5$"),
        (float("inf"), "^the number Infinity$"),
        (False, "^the truth value false$"),
        ([True], "^the truth value true$"),
        ('["a", 5]', "^the number 5$"),
        ([["a"]], "^a list within a list$"),
        ('[["a", "b"], ["c"]]', "^a list within a list$"),
        ("[['a']]", "^a list within a list$"),
        ({"label": 3}, "^an object without text under raw, caption, text or sentence$"),
        ({"raw": 3}, "^an object without text under"),
        (b"a", "^of type bytes$"),
    ],
)
def test_what_is_no_text_is_no_caption(value, message):
    with pytest.raises(ValueError, match=message):
        captions_in(value)


def test_names_and_splits_may_be_numbers_and_missing_ones_are_empty():
    assert [name_in(value) for value in ("a.png", 7, 0, None, float("nan"), "", "  ")] == ["a.png", "7", "0"] + [""] * 4
    assert [split_in(value) for value in ("train", 1, 2.0, None, float("nan"), "")] == ["train", "1", "2"] + [None] * 3
    assert [id_text(value) for value in ("a", 1, 1.0, None, float("nan"), " ")] == ["a", "1", "1.0", "", "", ""]
    for value in (True, ["a"], {"a": 1}):
        with pytest.raises(ValueError, match="^a (bool|list|dict), "):
            name_in(value)


def test_spellings_of_one_path_are_one_name():
    assert {plain_path(name) for name in ("1.png", "./1.png", "sub/../1.png", ".//1.png")} == {"1.png"}
    assert [plain_path(name) for name in ("", "../1.png", "a.b/1..png")] == ["", "../1.png", "a.b/1..png"]


def test_an_object_with_equal_keys_is_refused():
    assert json.loads('{"a": 1, "b": {"a": 2}}', object_pairs_hook=unique_pairs) == {"a": 1, "b": {"a": 2}}
    with pytest.raises(ValueError, match="^the key 'a' occurs twice in an object$"):
        json.loads('{"a": 1, "b": 3, "a": 2}', object_pairs_hook=unique_pairs)
