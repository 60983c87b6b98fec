"""Visual Genome: whole pictures with phrases, and regions cut out of them."""

import json
import pickle

import numpy as np
import pytest
from dataset_samples import captions_of, contents_of, excluded_of, picture
from published_samples import gradient, region, write_visual_genome

from fusemix.datasets import visual_genome as module
from fusemix.datasets.visual_genome import clipped, visual_genome
from fusemix.errors import DatasetError

REGIONS = {
    2: [region(21, "A red wall. "), region(22, "the sky")],
    1: [region(11, "the sky"), region(12, "a leaf", (2, 1, 3, 4))],
}


@pytest.fixture
def copy(tmp_path):
    return write_visual_genome(tmp_path, REGIONS, second={1})


@pytest.mark.parametrize("split", ["all", "train"])
def test_whole_pictures_of_both_folders_are_linked_with_all_their_phrases(copy, split):
    pairs = visual_genome(split=split, **copy)
    assert captions_of(pairs) == {"VG_100K/2.jpg": ["A red wall.", "the sky"], "VG_100K_2/1.jpg": ["the sky", "a leaf"]}
    assert contents_of(pairs.left)["VG_100K_2/1.jpg"] == picture(1)
    assert pairs.published == (108_077, 5_408_689)


def test_crops_make_each_region_an_item_of_its_own(copy):
    pairs = visual_genome(split="all", crops=True, **copy)
    assert captions_of(pairs) == {"2/21": ["A red wall."], "2/22": ["the sky"], "1/11": ["the sky"], "1/12": ["a leaf"]}
    assert [crop.size for crop in contents_of(pairs.left).values()] == [(8, 6), (8, 6), (8, 6), (3, 4)]
    assert pairs.published == (5_408_689, 5_408_689)


@pytest.mark.parametrize("box", [(2, 1, 3, 4), (-2, -1, 4, 3), (6, 4, 9, 9), (0, 0, 8, 6), (-5, -5, 99, 99)])
def test_a_crop_is_what_its_box_covers_of_the_picture(tmp_path, box):
    copy = write_visual_genome(tmp_path, {1: [region(11, "a leaf", box)]})
    pixels = np.asarray(gradient(tmp_path / "vg" / "VG_100K" / "1.jpg"))
    crop = visual_genome(split="all", crops=True, **copy).left.read(0)
    x, y, width, height = box
    rows = [row for row in range(6) if y <= row < y + height]
    columns = [column for column in range(8) if x <= column < x + width]
    assert np.array_equal(np.asarray(crop), pixels[np.ix_(rows, columns)])


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 3), (0, 0, 3, 0), (1, 1, -2, 3), (8, 0, 3, 3), (0, 6, 3, 3), (179, -904, 55, 25), (-3, 0, 3, 3)]
)
def test_a_box_that_is_empty_or_outside_is_listed(tmp_path, box):
    assert clipped(box, 8, 6) is None
    copy = write_visual_genome(tmp_path, {1: [region(11, "a cloud", box), region(12, "a leaf")]})
    pairs = visual_genome(split="all", crops=True, **copy)
    assert list(captions_of(pairs)) == ["1/12"]
    assert excluded_of(pairs) == [("1/11", "its box is empty or lies outside of its picture")]


def test_boxes_agree_with_a_count_of_pixels():
    generator = np.random.default_rng(0)
    inside = np.zeros((6, 8), dtype=bool)
    for box in generator.integers(-4, 12, size=(300, 4)).tolist():
        x, y, width, height = box
        covered = np.array([[x <= c < x + width and y <= r < y + height for c in range(8)] for r in range(6)])
        found = clipped((x, y, width, height), 8, 6)
        inside[:] = False
        if found:
            inside[found[1] : found[1] + found[3], found[0] : found[0] + found[2]] = True
        assert np.array_equal(inside, covered)


def test_fractions_share_out_pictures_and_crops_follow_their_picture(tmp_path):
    regions = {n: [region(10 * n, f"one {n}"), region(10 * n + 1, f"two {n}")] for n in range(1, 41)}
    copy = write_visual_genome(tmp_path, regions)
    shares = {"train": 0.5, "test": 0.5}
    whole, cut = (
        {split: visual_genome(split=split, fractions=shares, crops=crops, **copy) for split in shares}
        for crops in (False, True)
    )
    pictures = {split: {item[len("VG_100K/") : -4] for item in captions_of(pairs)} for split, pairs in whole.items()}
    assert pictures["train"].isdisjoint(pictures["test"])
    assert len(pictures["train"] | pictures["test"]) == 40
    for split, pairs in cut.items():
        assert {item.partition("/")[0] for item in captions_of(pairs)} == pictures[split]
        assert len(pairs.left) == 2 * len(pictures[split])
        assert pairs.published is None


def test_pictures_that_are_absent_broken_bare_or_described_twice_are_listed(tmp_path):
    copy = write_visual_genome(tmp_path, {n: [region(n, f"phrase {n}")] if n != 4 else [] for n in range(1, 5)})
    (tmp_path / "vg" / "VG_100K" / "1.jpg").unlink()
    (tmp_path / "vg" / "VG_100K" / "2.jpg").write_bytes(b"no picture")
    path = tmp_path / "region_descriptions.json"
    path.write_text(json.dumps([*json.loads(path.read_text()), {"id": 3, "regions": [region(9, "again")]}]))
    pairs = visual_genome(split="all", crops=True, **copy)
    assert captions_of(pairs) == {"3/3": ["phrase 3"]}
    assert excluded_of(pairs) == [
        ("VG_100K/1.jpg", f"no such file in {tmp_path / 'vg'}"),
        ("VG_100K/2.jpg", "cannot be read as a picture: UnidentifiedImageError"),
        ("VG_100K/4.jpg", "described without any region"),
        ("VG_100K/3.jpg", "described more than once: the first description is kept"),
    ]
    whole = visual_genome(split="all", **copy)
    assert set(captions_of(whole)) == {"VG_100K/2.jpg", "VG_100K/3.jpg"}
    assert "VG_100K/1.jpg" in [item for item, _ in excluded_of(whole)]
    assert ("VG_100K/4.jpg", "no caption") in excluded_of(whole)


def test_regions_are_packed_as_they_come(copy, monkeypatch):
    expected = visual_genome(split="all", crops=True, **copy)
    monkeypatch.setattr(module, "ROWS_A_TABLE", 1)
    found = visual_genome(split="all", crops=True, **copy)
    assert found.left.table.equals(expected.left.table)
    assert found.right.table.equals(expected.right.table)


def test_a_crop_reader_can_be_sent_to_a_worker_process(copy):
    read = visual_genome(split="all", crops=True, **copy).left.read
    assert pickle.loads(pickle.dumps(read))(3) == read(3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"id": 1, "regions": [', r"region_descriptions\.json cannot be read as JSON: .* Download it again\.$"),
        ('[{"id": 1}]', r"is not in the layout of region_descriptions\.json, .*: KeyError 'regions'$"),
        ('[{"id": 1, "regions": [{"phrase": "a"}]}]', r"is not in the layout of .*: KeyError 'x'$"),
        ("[3]", r"is not in the layout of .*: TypeError "),
        ('{"images": []}', r"region_descriptions\.json holds no list, or an empty one\.$"),
    ],
)
@pytest.mark.parametrize("crops", [False, True])
def test_a_damaged_or_foreign_description_is_named(copy, tmp_path, content, message, crops):
    (tmp_path / "region_descriptions.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        visual_genome(split="all", crops=crops, **copy)


def test_missing_files_and_folders_are_named(copy, tmp_path):
    with pytest.raises(DatasetError, match=r"^visual_genome: there is no file nowhere\.json\.$"):
        visual_genome(split="all", images=copy["images"], annotations="nowhere.json")
    with pytest.raises(DatasetError, match=r"^visual_genome: .* has no folder VG_100K or VG_100K_2\.$"):
        visual_genome(split="all", images=str(tmp_path), annotations=copy["annotations"])
    with pytest.raises(DatasetError, match=r"^visual_genome has no split 'validation'; it has: all, train\."):
        visual_genome(split="validation", **copy)
