"""Clotho from the authors' CSV files and folders of sounds."""

import pytest
from dataset_samples import captions_of, contents_of, excluded_of, sound, write_files
from published_samples import five_captions, write_clotho

from fusemix.datasets.clotho import clotho
from fusemix.errors import DatasetError

NAMES = {
    "development": ["Radio Garble.wav", " Ambience Birds.wav", "Chris&#39; Elevator.wav", "DMC-12  - Stop #1.wav"],
    "validation": ["mosquito  inside 1.wav"],
    "evaluation": ["Rope.wav", "Gate.wav"],
}


@pytest.mark.parametrize(
    ("split", "published"), [("train", "development"), ("validation", "validation"), ("test", "evaluation")]
)
def test_each_split_reads_the_folder_and_table_that_the_authors_call_otherwise(tmp_path, split, published):
    pairs = clotho(split=split, **write_clotho(tmp_path, NAMES), check_counts=False)
    assert captions_of(pairs) == {name: five_captions(name) for name in NAMES[published]}
    assert pairs.split == split
    assert contents_of(pairs.left)[NAMES[published][0]] == sound(0)


@pytest.mark.parametrize(
    ("published", "found"),
    [
        (" Ambience Birds.wav", "Ambience Birds.wav"),
        ("Ambience Birds.wav", " Ambience Birds.wav"),
        ("Ambience Birds .wav", "Ambience Birds.wav"),
        ("raindrops on metal: police background.wav", "raindrops on metal_police background.wav"),
        ("Intersection Wet : Metro Pass.wav", "Intersection Wet_Metro Pass.wav"),
        ("Wind?.wav", "Wind_.WAV"),
    ],
)
def test_names_that_a_copy_made_safe_are_found(tmp_path, published, found):
    names = {"development": ["a.wav", published]}
    pairs = clotho(split="train", **write_clotho(tmp_path, names, {published: found}), check_counts=False)
    assert captions_of(pairs) == {"a.wav": five_captions("a.wav"), found: five_captions(published)}


def test_a_name_that_two_files_may_mean_takes_neither_but_its_own(tmp_path):
    copy = write_clotho(tmp_path, {"development": ["a b.wav", "c: d.wav"]}, {"c: d.wav": "c_d.wav"})
    write_files(tmp_path / "wav" / "development", [" a b.wav", "c _d.wav"], sound)
    pairs = clotho(split="train", **copy, check_counts=False)
    assert list(captions_of(pairs)) == ["a b.wav"]
    assert [item for item, _ in excluded_of(pairs)] == ["c: d.wav"]


def test_counts_of_version_2_1_are_checked_unless_told_otherwise(tmp_path):
    copy = write_clotho(tmp_path, NAMES)
    for split, clips, captions in [("train", "3,839", "19,195"), ("test", "1,045", "5,225")]:
        with pytest.raises(
            DatasetError,
            match=rf"^clotho, split '{split}': published with {clips} audio items and {captions} captions, but this",
        ):
            clotho(split=split, **copy)


def test_a_copy_of_the_published_size_passes_the_check(tmp_path):
    names = [f"{number}.wav" for number in range(1_045)]
    pairs = clotho(split="validation", **write_clotho(tmp_path, {"validation": names}))
    assert (len(pairs.left), len(pairs.right)) == (1_045, 5_225)


def test_an_unknown_split_and_a_missing_table_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"^clotho has no split 'development'; it has: train, validation, test\.$"):
        clotho(split="development", clips="c", annotations="a")
    with pytest.raises(DatasetError, match=r"^clotho: there is no file .*clotho_captions_evaluation\.csv\.$"):
        clotho(split="test", clips=str(tmp_path), annotations=str(tmp_path))
