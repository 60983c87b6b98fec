"""Folders of files with captions: what is paired, and what is left out."""

from pathlib import Path

import pytest
from dataset_samples import (
    captions_of,
    contents_of,
    excluded_of,
    picture,
    sound,
    write_files,
    write_json_lines,
    write_karpathy,
    write_table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.datasets.caption_files import CaptionLine
from fusemix.datasets.captioned_files import audio_captions, image_captions, line_table, pair_files, split_by_hash
from fusemix.errors import DatasetError


def test_pictures_are_linked_with_their_captions_in_the_order_of_the_file(captioned):
    pairs = captioned([["b.png", "one"], ["a.png", "two"], ["b.png", "three"]])
    assert captions_of(pairs) == {"b.png": ["one", "three"], "a.png": ["two"]}
    assert pairs.left.table["id"].to_pylist() == ["b.png", "a.png"]
    assert pairs.right.table["id"].to_pylist() == ["b.png#0", "a.png#0", "b.png#1"]


def test_read_gives_the_bytes_of_the_file_and_the_table_its_size_and_time(captioned):
    pairs = captioned([["b.png", "one"], ["c.png", "two"]])
    assert contents_of(pairs.left) == {"b.png": picture(1), "c.png": picture(2)}
    assert pairs.left.table["num_bytes"].to_pylist() == [len(picture(1)), len(picture(2))]
    times = [Path(path).stat().st_mtime_ns for path in pairs.left.table["path"].to_pylist()]
    assert pairs.left.table["mtime_ns"].to_pylist() == times


def test_sounds_are_linked_in_the_same_way(tmp_path):
    folder = write_files(tmp_path / "sounds", ["x.wav", "y.wav"], sound)
    captions = write_json_lines(tmp_path / "c.jsonl", [{"audio": "y.wav", "caption": ["a hum", "a tone"]}])
    pairs = audio_captions(split="all", folder=folder, captions=captions)
    assert (pairs.dataset, pairs.left.modality) == ("audio_captions", "audio")
    assert captions_of(pairs) == {"y.wav": ["a hum", "a tone"]}
    assert contents_of(pairs.left) == {"y.wav": sound(1)}


def test_spellings_of_one_path_are_one_picture_in_one_split(captioned):
    rows = [("a.png", "one"), ("./a.png", "two"), ("below/../a.png", "three"), ("b.png", "four"), ("c.png", "five")]
    assert captions_of(captioned(rows)) == {"a.png": ["one", "two", "three"], "b.png": ["four"], "c.png": ["five"]}
    shares = {"train": 0.5, "test": 0.5}
    split = split_by_hash("a.png", shares)
    assert captions_of(captioned(rows, split=split, fractions=shares))["a.png"] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("name", "on_disk"), [("caf\u00e9.png", "cafe\u0301.png"), ("cafe\u0301.png", "caf\u00e9.png")]
)
def test_a_letter_that_systems_write_in_two_ways_is_found_in_either(name, on_disk, tmp_path):
    write_files(tmp_path / "pictures", [on_disk])
    captions = write_table(tmp_path / "captions.csv", ["file", "caption"], [(name, "one")])
    pairs = image_captions(split="all", folder=str(tmp_path / "pictures"), captions=captions)
    assert captions_of(pairs) == {name: ["one"]}
    assert pairs.left.read(0) == picture(0)


def test_files_in_subfolders_are_named_relative_to_the_folder(tmp_path):
    folder = write_files(tmp_path / "coco", ["train2014/1.jpg", "val2014/1.jpg"])
    captions = write_karpathy(tmp_path / "c.json", [("val2014/1.jpg", "test", ["a dog"])])
    pairs = image_captions(split="test", folder=folder, captions=captions)
    assert contents_of(pairs.left) == {"val2014/1.jpg": picture(1)}


def test_a_caption_that_occurs_for_two_pictures_is_one_item_with_two_links(captioned):
    pairs = captioned([["a.png", "a square"], ["b.png", "a square"], ["b.png", "another"]])
    assert pairs.right.table["caption"].to_pylist() == ["a square", "another"]
    assert pairs.links.tolist() == [[0, 0], [1, 0], [1, 1]]


def test_a_caption_that_occurs_twice_for_one_picture_is_linked_once(captioned):
    pairs = captioned([["a.png", "a square"], ["a.png", " a square "], ["b.png", "two"]])
    assert pairs.links.tolist() == [[0, 0], [1, 1]]


def test_an_absent_file_is_listed_once_with_the_reason(captioned):
    pairs = captioned([["gone.png", "one"], ["a.png", "two"], ["gone.png", "three"]])
    assert captions_of(pairs) == {"a.png": ["two"]}
    [(name, reason)] = excluded_of(pairs)
    assert name == "gone.png"
    assert reason.startswith("no such file in ")


def test_a_row_without_file_name_is_listed_and_not_taken_for_the_folder(captioned):
    pairs = captioned([["", "one"], ["a.png", "two"]])
    assert [name for name, _ in excluded_of(pairs)] == [""]


def test_an_empty_caption_is_left_out_and_listed_by_its_place(captioned):
    pairs = captioned([["a.png", "one"], ["a.png", "  "], ["a.png", "three"]])
    assert captions_of(pairs) == {"a.png": ["one", "three"]}
    assert pairs.right.table["id"].to_pylist() == ["a.png#0", "a.png#2"]
    assert excluded_of(pairs) == [("a.png#1", "empty caption")]


def test_a_picture_without_any_caption_is_left_out_and_listed(captioned):
    pairs = captioned([["a.png", ""], ["b.png", "two"]])
    assert captions_of(pairs) == {"b.png": ["two"]}
    assert contents_of(pairs.left) == {"b.png": picture(1)}
    assert excluded_of(pairs) == [("a.png#0", "empty caption"), ("a.png", "no caption")]


def test_the_revision_follows_the_content_of_the_caption_file(captioned):
    first, same, other = (captioned([["a.png", caption]]).revision for caption in ("one", "one", "two"))
    assert first == same != other


def test_an_absent_folder_is_named(tmp_path):
    captions = write_table(tmp_path / "c.csv", ["file", "caption"], [["a.png", "one"]])
    with pytest.raises(DatasetError, match=r"^image_captions: there is no folder .*nowhere\.$"):
        image_captions(split="all", folder=str(tmp_path / "nowhere"), captions=captions)


def test_a_folder_with_none_of_the_files_is_refused_with_an_example(captioned):
    with pytest.raises(
        DatasetError,
        match=r"^image_captions, split 'all': none of the files is in .*pictures: "
        r"the captions name 2 files, such as 'A\.PNG'\.$",
    ):
        captioned([["A.PNG", "one"], ["A.PNG", "two"], ["elsewhere/b.png", "three"]])


def test_a_file_whose_captions_are_all_empty_leaves_no_pair(captioned):
    with pytest.raises(
        DatasetError,
        match=r"^image_captions, split 'all': no pair is left\. 2 entries were left out "
        r"\(gone\.png: no such file in .*; a\.png#0: empty caption, …\)\.$",
    ):
        captioned([["a.png", ""], ["gone.png", "one"]])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of three pictures, one of them in a folder below."""
    return tmp_path_factory.mktemp("pictures"), ["a.png", "b c.png", "below/ü.png"]


REAL = {"a.png", "b c.png", "below/ü.png", "./a.png", *"abcd"}


"""Names under which a file is there, in the tests below."""


def files_in_plain_python(folder, lines):
    """What pairing files means, with lists: ids of the left, paths, captions of each, what is left out and why."""
    there = list(dict.fromkeys(file for file, _ in lines if file in REAL))
    absent = [(f, f"no such file in {folder}") for f in dict.fromkeys(f for f, _ in lines) if f not in there]
    captions = {file: [text.strip() for name, text in lines if name == file] for file in there}
    used = [file for file in there if any(captions[file])]
    seen = dict.fromkeys(there, 0)
    for file, text in lines:
        if file in seen:
            absent += [] if text.strip() else [(f"{file}#{seen[file]}", "empty caption")]
            seen[file] += 1
    absent += [(file, "no caption") for file in there if file not in used]
    return used, [str(folder / file) for file in used], {f: set(captions[f]) - {""} for f in used}, absent


NAMES = st.sampled_from(["a.png", "b c.png", "below/ü.png", "./a.png", "below", "gone.png", "", "a\0.png", "x" * 300])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, st.sampled_from(["one", " one", "two\u2028", "", " "]))))
def test_files_are_paired_as_lists_and_dicts_would_pair_them(pictures, lines):
    folder, names = pictures
    write_files(folder, names)
    lines = [("a.png", "a caption"), *lines]
    given_as = [CaptionLine(*line) for line in lines]
    for form in (given_as, iter(given_as), line_table(given_as)):
        pairs = pair_files("made_up", "image", "all", folder, form, "1")
        ids, paths = (pairs.left.table[name].to_pylist() for name in ("id", "path"))
        captions = {item: set(texts) for item, texts in captions_of(pairs).items()}
        assert (ids, paths, captions, excluded_of(pairs)) == files_in_plain_python(folder, lines)


def test_a_name_that_no_file_can_have_is_listed_as_absent(captioned):
    pairs = captioned([["a.png", "one"], ["x" * 5000, "two"]])
    assert [name for name, _ in excluded_of(pairs)] == ["x" * 5000]


def test_half_a_surrogate_pair_in_json_harms_its_own_line_only(tmp_path):
    folder = write_files(tmp_path / "pictures", ["a.png", "b.png"])
    rows = [
        {"file": "a.png", "text": "cut off \ud83d"},
        {"file": "b\udce9.png", "text": "x"},
        {"file": "b.png", "text": "y"},
    ]
    pairs = image_captions(split="all", folder=folder, captions=write_json_lines(tmp_path / "c.jsonl", rows))
    assert captions_of(pairs) == {"a.png": ["cut off \ufffd"], "b.png": ["y"]}
    assert [name for name, _ in excluded_of(pairs)] == ["b\ufffd.png"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["one", "two", ""])), min_size=1),
    st.lists(st.sampled_from("abcdx"), min_size=1),
)
def test_a_split_list_takes_its_lines_in_order_and_then_what_has_none(tmp_path_factory, lines, listed):
    folder = tmp_path_factory.mktemp("lists")
    write_files(folder, ["a", "b", "c", "d"])
    (folder / "list.txt").write_text("\n".join(listed), encoding="utf-8")
    captions = write_table(folder / "c.csv", ["file", "caption"], lines)
    chosen = [line for line in lines if line[0] in listed]
    chosen += [(name, "") for name in dict.fromkeys(listed) if name not in {file for file, _ in lines}]
    load = {"split": "s", "folder": str(folder), "captions": captions, "splits": {"s": str(folder / "list.txt")}}
    if not any(text for _, text in chosen):
        with pytest.raises(DatasetError, match="no pair is left|none of the files"):
            image_captions(**load)
        return
    pairs = image_captions(**load)
    ids, _, found, left_out = files_in_plain_python(folder, chosen)
    assert pairs.left.table["id"].to_pylist() == ids
    assert {item: set(texts) for item, texts in captions_of(pairs).items()} == found
    assert excluded_of(pairs) == left_out
