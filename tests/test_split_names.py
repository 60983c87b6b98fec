"""`val`, `valid` and `dev` mean validation, unless there is one of the very name."""

import pytest

from fusemix.errors import DatasetError
from fusemix.split_names import folder_meant, meant, require_known


@pytest.mark.parametrize(
    ("split", "known", "found"),
    [
        ("val", ["train", "validation", "test"], "validation"),
        ("validation", ["train", "val"], "val"),
        ("dev", ["train", "valid"], "valid"),
        ("training", ["train"], "train"),
        ("Test", ["test"], "test"),
        ("val", ["val", "validation"], "val"),
        ("dev", ["val", "validation"], None),
        ("val", ["train", "test"], None),
        ("mine", ["train"], None),
        ("fold1", ["fold1", "fold2"], "fold1"),
        ("restval", ["val", "train"], None),
    ],
)
def test_a_split_is_its_own_name_or_the_only_other_of_its_meaning(split, known, found):
    assert meant(split, known) == found


def test_what_two_could_be_meant_by_is_refused_with_both():
    with pytest.raises(DatasetError, match=r"^mine has no split 'dev'; it has: val, validation\.$"):
        require_known("mine", "dev", ["val", "validation"])


def test_a_folder_is_found_by_another_name_of_its_split(tmp_path):
    (tmp_path / "validation").mkdir()
    (tmp_path / "mine").mkdir()
    assert folder_meant(tmp_path / "val") == tmp_path / "validation"
    assert folder_meant(tmp_path / "other") == tmp_path / "other"
    (tmp_path / "val").mkdir()
    assert folder_meant(tmp_path / "val") == tmp_path / "val"
    assert folder_meant(tmp_path / "dev") == tmp_path / "dev"
    assert folder_meant(tmp_path / "nowhere" / "val") == tmp_path / "nowhere" / "val"
