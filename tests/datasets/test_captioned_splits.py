"""Folders of files with captions: what falls into which split."""

import hashlib

import pytest
from dataset_samples import (
    captions_of,
    excluded_of,
    write_files,
    write_table,
)

from fusemix.datasets.captioned_files import image_captions, split_by_hash
from fusemix.errors import DatasetError


def test_without_any_split_everything_is_in_the_split_all(captioned):
    assert captions_of(captioned([["a.png", "one"], ["b.png", "two"]])) == {"a.png": ["one"], "b.png": ["two"]}


def test_a_split_column_says_what_is_in_which_split(captioned):
    rows = [["a.png", "one", "train"], ["b.png", "two", "test"], ["c.png", "three", "train"], ["c.png", "four", ""]]
    header = ["file", "caption", "split"]
    assert captions_of(captioned(rows, split="train", header=header)) == {"a.png": ["one"], "c.png": ["three"]}
    assert captions_of(captioned(rows, split="test", header=header)) == {"b.png": ["two"]}


def test_split_lists_go_before_the_split_column(captioned, tmp_path):
    rows = [["a.png", "one", "train"], ["b.png", "two", "test"], ["c.png", "three", "train"]]
    lists = {"dev": tmp_path / "dev.txt", "rest": tmp_path / "rest.txt"}
    lists["dev"].write_text("c.png\nb.png\n", encoding="utf-8")
    lists["rest"].write_text("a.png\n", encoding="utf-8")
    splits = {name: str(path) for name, path in lists.items()}
    header = ["file", "caption", "split"]
    assert captions_of(captioned(rows, split="dev", header=header, splits=splits)) == {
        "b.png": ["two"],
        "c.png": ["three"],
    }
    assert captions_of(captioned(rows, split="rest", header=header, splits=splits)) == {"a.png": ["one"]}


def test_a_listed_file_without_caption_is_left_out_and_listed(captioned, tmp_path):
    (tmp_path / "test.txt").write_text("a.png\nb.png\nb.png\n", encoding="utf-8")
    pairs = captioned([["a.png", "one"], ["c.png", "two"]], split="test", splits={"test": str(tmp_path / "test.txt")})
    assert captions_of(pairs) == {"a.png": ["one"]}
    assert ("b.png", "no caption") in excluded_of(pairs)
    assert {name.partition("#")[0] for name, _ in excluded_of(pairs)} == {"b.png"}


def test_a_listed_file_that_is_neither_captioned_nor_there_is_listed_as_absent(captioned, tmp_path):
    (tmp_path / "test.txt").write_text("a.png\ngone.png\n", encoding="utf-8")
    pairs = captioned([["a.png", "one"]], split="test", splits={"test": str(tmp_path / "test.txt")})
    [(name, reason)] = excluded_of(pairs)
    assert name == "gone.png"
    assert reason.startswith("no such file in ")


FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_fractions_draw_disjoint_splits_of_about_the_right_size():
    splits = [split_by_hash(f"{number}.png", FRACTIONS) for number in range(10_000)]
    # Three standard deviations of a binomial are 120 of 8,000 and 90 of 1,000.
    assert splits.count("train") == pytest.approx(8000, abs=120)
    assert splits.count("validation") == pytest.approx(1000, abs=90)
    assert splits.count("test") == pytest.approx(1000, abs=90)


def test_what_fractions_leave_over_is_in_no_split():
    splits = [split_by_hash(f"{number}.png", {"train": 0.25}) for number in range(2_000)]
    assert set(splits) == {"train", None}
    assert splits.count("train") == pytest.approx(500, abs=60)


def test_a_name_falls_into_the_split_that_its_hash_says():
    for name in ("a.png", "b.png", "ü.png"):
        share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8
        below, above = {"test": share - 0.001}, {"test": share + 0.001}
        assert (split_by_hash(name, below), split_by_hash(name, above)) == (None, "test")


def test_the_splits_of_a_folder_are_disjoint_complete_and_independent_of_other_files(tmp_path):
    names = [f"{number:03}.png" for number in range(60)]
    folder = write_files(tmp_path / "pictures", names)
    fractions = {"train": 0.5, "test": 0.5}

    def members(split, some):
        captions = write_table(tmp_path / "c.csv", ["file", "caption"], [[name, f"this is {name}"] for name in some])
        pairs = image_captions(split=split, folder=folder, captions=captions, fractions=fractions)
        return set(pairs.left.table["id"].to_pylist())

    train, test = members("train", names), members("test", names)
    assert train | test == set(names)
    assert not train & test
    assert 15 < len(train) < 45
    assert members("train", names[::-1]) == train
    assert members("test", names[20:40]) == test & set(names[20:40])


def test_all_captions_of_a_picture_fall_into_the_same_split(captioned):
    rows = [["a.png", "one"], ["a.png", "two"], ["b.png", "three"], ["b.png", "four"], ["c.png", "five"]]
    found = {}
    for split in ("left", "right"):
        try:
            found |= captions_of(captioned(rows, split=split, fractions={"left": 0.5, "right": 0.5}))
        except DatasetError:  # all three may be in the other split
            continue
    assert found == {"a.png": ["one", "two"], "b.png": ["three", "four"], "c.png": ["five"]}


def test_lists_and_fractions_at_once_are_refused(captioned):
    with pytest.raises(DatasetError, match=r"both given: give only one of them"):
        captioned([["a.png", "one"]], fractions={"all": 1.0}, splits={"all": "list.txt"})


@pytest.mark.parametrize("fractions", [{"all": 1.2}, {"all": 0.8, "test": 0.3}, {"all": 0.5, "test": -0.1}])
def test_fractions_that_make_no_sense_are_refused(fractions, captioned):
    with pytest.raises(
        DatasetError, match=r"^fractions must be positive and add up to at most 1, not \{'all': .*\}\.$"
    ):
        captioned([["a.png", "one"]], fractions=fractions)


def test_fractions_may_add_up_to_one_with_the_error_of_floating_point():
    tenths = {str(number): 0.1 for number in range(10)}
    assert sum(tenths.values()) != 1
    assert {split_by_hash(f"{number}.png", tenths) for number in range(500)} == set(tenths)


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({}, "all"),
        ({"header": ("file", "caption", "split")}, "train, dev"),
        ({"splits": {"train": "train.txt"}}, "train"),
        ({"fractions": {"train": 0.9, "dev": 0.1}}, "train, dev"),
    ],
    ids=["no splits", "column", "lists", "fractions"],
)
def test_an_unknown_split_is_refused_with_the_known_ones_and_where_splits_come_from(options, known, captioned):
    rows = [["a.png", "one", "train"], ["b.png", "two", "dev"]]
    header = options.get("header", ("file", "caption"))
    with pytest.raises(
        DatasetError,
        match=rf"captions\.csv has no split 'test'; it has: {known}\. Splits come from a column 'split', from "
        r"dataset\.options\.splits \(lists of files\) or dataset\.options\.fractions, such as "
        r"\{train: 0\.9, test: 0\.1\}\.$",
    ):
        captioned([row[: len(header)] for row in rows], split="test", **options)


def test_an_empty_split_list_is_refused(captioned, tmp_path):
    (tmp_path / "test.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"split 'test': none of the files is in .*pictures: no file named\.$"):
        captioned([["a.png", "one"]], split="test", splits={"test": str(tmp_path / "test.txt")})


@pytest.mark.parametrize("written", ["val", "valid", "dev", "validation"])
@pytest.mark.parametrize("asked", ["val", "valid", "dev", "validation"])
def test_validation_may_be_asked_for_and_written_by_any_of_its_names(captioned, tmp_path, asked, written):
    rows = [["a.png", "one", "train"], ["b.png", "two", written]]
    header = ["file", "caption", "split"]
    assert captions_of(captioned(rows, split=asked, header=header)) == {"b.png": ["two"]}
    (tmp_path / "list.txt").write_text("b.png\n")
    listed = {written: str(tmp_path / "list.txt")}
    assert captions_of(captioned(rows, split=asked, header=header, splits=listed)) == {"b.png": ["two"]}
    every = captions_of(captioned(rows, split=asked, header=header, fractions={written: 1.0}))
    assert every == {"a.png": ["one"], "b.png": ["two"]}


def test_where_both_names_are_written_each_means_its_own(captioned):
    rows = [["a.png", "one", "val"], ["b.png", "two", "validation"]]
    header = ["file", "caption", "split"]
    assert captions_of(captioned(rows, split="val", header=header)) == {"a.png": ["one"]}
    assert captions_of(captioned(rows, split="validation", header=header)) == {"b.png": ["two"]}
    with pytest.raises(DatasetError, match=r"has no split 'dev'; it has: val, validation\."):
        captioned(rows, split="dev", header=header)
