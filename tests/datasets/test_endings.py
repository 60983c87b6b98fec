"""A file that is a picture or a sound for one data set is one for all, as libraries have it."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image
from published_samples import write_tar

from fusemix.datasets.audiocaps import _present
from fusemix.datasets.classes import audio_classes, image_classes
from fusemix.datasets.endings import PICTURES, SOUNDS, endings
from fusemix.datasets.folder import files_of
from fusemix.datasets.tars import scan_tar

ALL = [(modality, ending) for modality in ("image", "audio") for ending in endings(modality)]


@pytest.mark.parametrize(("modality", "ending"), ALL)
def test_every_command_takes_the_same_endings_for_pictures_and_sounds(modality, ending, tmp_path):
    folder = tmp_path / "classes"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        (folder / label / f"1{ending.upper()}").write_bytes(b"x")
    assert set(files_of(folder).paths) == {modality}
    classes = {"image": image_classes, "audio": audio_classes}[modality](split="all", folder=str(folder))
    assert len(classes.left) == 2
    assert not classes.excluded
    tar = write_tar(tmp_path / "t.tar", [(f"a{ending}", b"x"), ("a.txt", "one")])
    assert scan_tar(tar, modality)["reason"].to_pylist() == [None]
    assert (len(_present(folder / "dog", "test")) == 1) == (modality == "audio")


def test_no_ending_is_both_a_picture_and_a_sound_and_documents_and_films_are_neither():
    assert not set(endings("image")) & set(endings("audio"))
    known = {*endings("image"), *endings("audio")}
    assert not known & {".pdf", ".ps", ".mpg", ".mp4", ".txt", ".json", ".npy", ".h5", ".tar"}
    assert all(ending == ending.lower() and ending.startswith(".") for ending in known)


@pytest.mark.parametrize("kind", PICTURES)
def test_pil_says_the_same_of_the_usual_formats_of_pictures(kind):
    Image.init()
    assert {Image.EXTENSION[ending] for ending in PICTURES[kind]} == {kind}


@pytest.mark.parametrize("kind", SOUNDS)
def test_libsndfile_knows_the_usual_formats_of_sounds(kind):
    assert kind in soundfile.available_formats()
    raw = io.BytesIO()
    soundfile.write(raw, np.zeros(8000), 8000, format=kind)
    raw.seek(0)
    assert soundfile.info(raw).format == kind


def test_beside_a_picture_of_a_usual_format_a_mask_is_none(tmp_path):
    members = [("a.pgm", b"mask"), ("a.jpg", b"picture"), ("a.txt", "one"), ("b.png", b"x"), ("b.jpg", b"yy")]
    table = scan_tar(write_tar(tmp_path / "t.tar", [*members, ("b.txt", "two")]), "image")
    assert table["num_bytes"].to_pylist() == [7, 1], "of two usual formats the first in the tar is taken"


def test_beside_a_jpeg_the_heic_that_it_was_made_of_is_passed_over(tmp_path):
    members = [("a.heic", b"original"), ("a.jpg", b"picture"), ("a.txt", "one")]
    assert scan_tar(write_tar(tmp_path / "t.tar", members), "image")["num_bytes"].to_pylist() == [7]
