"""COCO Captions in Karpathy's splits."""

import pytest
from dataset_samples import captions_of, contents_of, excluded_of, picture
from published_samples import write_coco

from fusemix.datasets.coco import COUNTS, coco
from fusemix.errors import DatasetError

ENTRIES = [
    ("COCO_train2014_01.jpg", "train", ["A dog.", "A brown dog.\n"]),
    ("COCO_val2014_02.jpg", "restval", ["A bus.", "A red bus.", "A bus stop."]),
    ("COCO_val2014_03.jpg", "val", ["A cat."]),
    ("COCO_val2014_04.jpg", "test", ["A street.", "A dog."]),
    ("COCO_train2014_05.jpg", "train", ["A dog."]),
]


@pytest.fixture
def copy(tmp_path):
    return write_coco(tmp_path, ENTRIES)


def test_pictures_lie_in_the_folders_that_the_annotations_name(copy):
    pairs = coco(split="train", **copy, check_counts=False)
    assert captions_of(pairs) == {
        "train2014/COCO_train2014_01.jpg": ["A dog.", "A brown dog."],
        "train2014/COCO_train2014_05.jpg": ["A dog."],
    }
    assert contents_of(pairs.left)["train2014/COCO_train2014_05.jpg"] == picture(4)


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("train", {"01", "05"}),
        ("restval", {"02"}),
        ("train+restval", {"01", "02", "05"}),
        ("validation", {"03"}),
        ("test", {"04"}),
    ],
)
def test_restval_is_trained_on_only_where_it_is_asked_for(copy, split, numbers):
    pairs = coco(split=split, **copy, check_counts=False)
    assert {item[-6:-4] for item in pairs.left.table["id"].to_pylist()} == numbers
    assert pairs.split == split


def test_published_counts_add_up():
    # COCO's own files of 2014 hold 82,783 and 40,504 pictures, with 414,113 and 202,654 captions.
    assert COUNTS["train"] == (82_783, 414_113)
    parts = [COUNTS[split] for split in ("restval", "validation", "test")]
    assert tuple(map(sum, zip(*parts, strict=True))) == (40_504, 202_654)
    both = [COUNTS[split] for split in ("train", "restval")]
    assert tuple(map(sum, zip(*both, strict=True))) == COUNTS["train+restval"]


def test_counts_are_checked_unless_told_otherwise(copy):
    with pytest.raises(
        DatasetError,
        match=r"^coco, split 'train\+restval': published with 113,287 image items and 566,747 captions, but this copy "
        r"gives 3 and 6\.",
    ):
        coco(split="train+restval", **copy)


def test_captions_of_an_absent_picture_are_not_counted_as_found(copy, tmp_path):
    (tmp_path / "coco" / "train2014" / "COCO_train2014_01.jpg").unlink()
    with pytest.raises(DatasetError, match=r"gives 1 and 1\. .*train2014/COCO_train2014_01\.jpg: no such file"):
        coco(split="train", **copy)
    pairs = coco(split="train", **copy, check_counts=False)
    assert [item for item, _ in excluded_of(pairs)] == ["train2014/COCO_train2014_01.jpg"]


def test_an_unknown_split_is_refused_with_the_known_ones(copy):
    with pytest.raises(
        DatasetError, match=r"^coco has no split 'minival'; it has: train, restval, train\+restval, validation, test\.$"
    ):
        coco(split="minival", **copy)


def test_missing_annotations_are_named(copy):
    with pytest.raises(DatasetError, match=r"^coco: there is no file nowhere\.json\.$"):
        coco(split="test", images=copy["images"], annotations="nowhere.json")
