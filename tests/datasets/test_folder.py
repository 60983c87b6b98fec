"""What counts as a picture or a sound in a folder, and in which order."""

import os
from pathlib import Path

import pytest

from fusemix.datasets.folder import files_of, items_of
from fusemix.errors import DatasetError


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.jpg",
        "a/c.PNG",
        "a/b/d.webp",
        "a-b.jpeg",
        "song.mp3",
        "a/bark.WAV",
        "notes.txt",
        "paper.pdf",
        "film.mpg",
        ".hidden.jpg",
        ".thumbnails/x.jpg",
        "no_ending",
        "é and ü.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_pictures_and_sounds_are_told_by_their_endings_and_sorted(folder):
    files = files_of(folder)
    assert files.paths == {
        "image": ["a-b.jpeg", "a/b/d.webp", "a/c.PNG", "b.jpg", "é and ü.jpg"],
        "audio": ["a/bark.WAV", "song.mp3"],
    }
    assert files.num_others == 4
    assert files.excluded == []


def test_what_systems_leave_behind_is_passed_over(folder):
    before = files_of(folder)
    for name in ("__MACOSX/b.jpg", "a/@eaDir/b.jpg", "Thumbs.db", "a/desktop.ini", "._b.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert files_of(folder) == before


def test_an_item_is_the_file_at_its_path(folder):
    items = items_of(folder, "image", files_of(folder).paths["image"])
    assert items.modality == "image"
    assert items.table["id"].to_pylist() == items.table["path"].to_pylist()
    assert [items.read(row).decode() for row in range(len(items))] == items.table["path"].to_pylist()


def test_links_to_folders_are_not_followed(folder):
    (folder / "a" / "loop").symlink_to(folder)
    assert len(files_of(folder).paths["image"]) == 5


def test_a_name_that_cannot_be_written_down_is_set_aside(tmp_path):
    (tmp_path / "good.jpg").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg")).write_bytes(b"x")
    files = files_of(tmp_path)
    assert files.paths == {"image": ["good.jpg"]}
    assert [(item.stage, item.reason) for item in files.excluded] == [
        ("dataset", "the name of the file is not UTF-8; rename it")
    ]
    files.excluded[0].id.encode()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match="there is no folder .*nowhere"):
        files_of(tmp_path / "nowhere")
