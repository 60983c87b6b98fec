"""COCO's own caption files, of whatever year, in the data set image_captions."""

import json

import pytest
from dataset_samples import captions_of, excluded_of, write_files

from fusemix.datasets.captioned_files import image_captions
from fusemix.datasets.coco import coco
from fusemix.errors import DatasetError

FILES = ["000000000139.jpg", "000000000285.jpg", "000000000632.jpg", "000000000724.jpg"]


def write_own_layout(path, images, annotations):
    """As captions_val2017.json: (id, file_name) and (id, image_id, caption)."""
    content = {
        "info": {"year": 2017},
        "licenses": [],
        "images": [{"id": key, "file_name": file, "height": 6, "width": 8} for key, file in images],
        "annotations": [{"id": key, "image_id": image, "caption": words} for key, image, words in annotations],
    }
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def copy(tmp_path):
    """Two pictures with captions, one without, one that is absent, and two captions of pictures that are not named."""
    folder = write_files(tmp_path / "val2017", FILES[:3])
    images = [(139, FILES[0]), (285, FILES[1]), (632, FILES[2]), (724, FILES[3])]
    annotations = [
        (1, 285, "A bear.\n"),
        (2, 139, "A room."),
        (3, 999, "Nobody's."),
        (4, 139, "A table."),
        (5, 999, "Nobody's either."),
        (6, 724, "A sign."),
    ]
    return {"folder": folder, "captions": write_own_layout(tmp_path / "captions_val2017.json", images, annotations)}


def test_captions_find_their_pictures_by_id(copy):
    pairs = image_captions(split="all", **copy)
    assert captions_of(pairs) == {FILES[0]: ["A room.", "A table."], FILES[1]: ["A bear."]}


def test_what_has_no_other_half_is_set_aside_and_counted(copy):
    aside = dict(excluded_of(image_captions(split="all", **copy)))
    assert "no caption" in aside[FILES[2]]
    assert "no such file" in aside[FILES[3]]
    reason = "a caption of image 999, which is not among the images of captions_val2017.json"
    assert [aside["annotation 3"], aside["annotation 5"]] == [reason, reason]


def test_splits_come_from_lists_and_shares_as_for_other_layouts(copy, tmp_path):
    (tmp_path / "val.txt").write_text(f"{FILES[1]}\n")
    pairs = image_captions(split="validation", **copy, splits={"val": str(tmp_path / "val.txt")})
    assert captions_of(pairs) == {FILES[1]: ["A bear."]}


def test_boxes_instead_of_captions_are_refused_with_the_name_of_the_right_file(tmp_path):
    path = tmp_path / "instances_val2017.json"
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"id": 1, "image_id": 1, "bbox": []}]}
    path.write_text(json.dumps(content))
    with pytest.raises(
        DatasetError, match=r"KeyError: 'caption'\). Its files of captions are called captions_train2017"
    ):
        image_captions(split="all", folder=str(tmp_path), captions=str(path))


def test_two_pictures_of_one_id_are_refused(tmp_path):
    path = write_own_layout(tmp_path / "c.json", [(1, "a.jpg"), (1, "b.jpg")], [(1, 1, "one")])
    with pytest.raises(DatasetError, match=r"two images have the id 1, so their captions cannot be told"):
        image_captions(split="all", folder=str(tmp_path), captions=path)


def test_the_data_set_coco_says_that_it_needs_karpathy_s_file(copy):
    with pytest.raises(DatasetError, match=r"COCO's own caption file, .* set dataset\.name=image_captions"):
        coco(split="validation", images=copy["folder"], annotations=copy["captions"])
