"""What a folder holds besides files: each thing that is passed over is named, with its reason."""

import errno
import os

import pytest
from dataset_samples import excluded_of, write_files, write_table

from fusemix.datasets import walking
from fusemix.datasets.captioned_files import image_captions
from fusemix.datasets.classes import image_classes
from fusemix.datasets.folder import files_of, items_of
from fusemix.datasets.tars import scan_tar
from fusemix.datasets.wavcaps import source_folders
from fusemix.disk.regular import NOT_REGULAR
from fusemix.errors import DatasetError


def excluded(folder, **settings):
    return {item.id: item.reason for item in files_of(folder, **settings).excluded}


@pytest.fixture
def folder(tmp_path):
    for name in ("in/a.png", "in/b/c.png", "out/far.png", "out/deep/deeper.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path / "in"


def pictures(folder, **settings):
    return files_of(folder, **settings).paths["image"]


def closed(monkeypatch, name, number):
    """A folder that cannot be listed, also where the tests run as root."""
    scandir = os.scandir

    def refusing(path):
        if path.rpartition(os.sep)[2] == name:
            raise OSError(number, os.strerror(number), path)
        return scandir(path)

    monkeypatch.setattr(walking.os, "scandir", refusing)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOENT])
def test_a_folder_that_may_not_be_read_is_named(folder, monkeypatch, number):
    closed(monkeypatch, "b", number)
    assert pictures(folder) == ["a.png"]
    assert excluded(folder) == {"b/": f"the folder cannot be read: {os.strerror(number)}"}


def test_a_disk_that_fails_ends_the_walk(folder, monkeypatch):
    closed(monkeypatch, "b", errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        files_of(folder)


def test_a_folder_that_may_not_be_read_itself_is_refused(folder, monkeypatch):
    closed(monkeypatch, "", errno.EACCES)
    with pytest.raises(DatasetError, match="in cannot be read: Permission denied"):
        files_of(folder)


def test_a_link_to_a_folder_is_named_and_followed_where_that_is_asked_for(folder):
    (folder / "more").symlink_to(folder.parent / "out")
    assert pictures(folder) == ["a.png", "b/c.png"]
    assert excluded(folder) == {"more/": "a link to a folder, which is not followed; follow_links=true takes it"}
    assert pictures(folder, follow_links=True) == ["a.png", "b/c.png", "more/deep/deeper.png", "more/far.png"]
    assert excluded(folder, follow_links=True) == {}


def test_links_in_a_circle_end(folder):
    (folder / "b" / "loop").symlink_to(folder)
    (folder / "more").symlink_to(folder.parent / "out")
    (folder.parent / "out" / "back").symlink_to(folder.parent / "out")
    (folder / "self").symlink_to("self")
    assert "follow_links" not in excluded(folder)["b/loop/"], "what it leads to is taken"
    assert pictures(folder, follow_links=True) == ["a.png", "b/c.png", "more/deep/deeper.png", "more/far.png"]
    assert set(excluded(folder, follow_links=True)) == {"b/loop/", "more/back/"}


def test_a_linked_file_is_taken_where_it_lies_in_the_folder(folder):
    (folder / "near.png").symlink_to("b/c.png")
    (folder / "far.png").symlink_to(folder.parent / "out" / "far.png")
    (folder / "lost.png").symlink_to("nowhere.png")
    assert pictures(folder) == ["a.png", "b/c.png", "near.png"]
    assert excluded(folder) == {
        "far.png": "a link leads out of the folder; follow_links=true takes it",
        "lost.png": "a link that cannot be followed: No such file or directory",
    }
    assert pictures(folder, follow_links=True) == ["a.png", "b/c.png", "far.png", "near.png"]


@pytest.mark.parametrize("follow_links", [False, True])
def test_pipes_and_devices_are_set_aside_by_name_where_they_are_called_like_pictures(folder, follow_links):
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "notes")
    (folder / "device.png").symlink_to("/dev/zero")
    assert excluded(folder, follow_links=follow_links) == {"pipe.png": NOT_REGULAR, "device.png": NOT_REGULAR}
    assert files_of(folder).num_others == 1


def test_what_takes_the_place_of_a_file_is_not_read(folder):
    items = items_of(folder, "image", pictures(folder))
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to(folder.parent / "out" / "far.png")
    (folder / "b" / "c.png").unlink()
    os.mkfifo(folder / "b" / "c.png")
    with pytest.raises(OSError, match="a link leads out"):
        items.read(0)
    with pytest.raises(OSError, match="no regular file"):
        items.read(1)
    assert items_of(folder, "image", ["a.png"], follow_links=True).read(0) == b"out/far.png"


# Data sets of files


@pytest.mark.parametrize("place", ["cat/2.png", "cat/pipe"])
def test_a_pipe_in_a_class_is_listed_as_what_it_is(tmp_path, place):
    write_files(tmp_path / "pictures", ["cat/1.png", "dog/1.png"])
    os.mkfifo(tmp_path / "pictures" / place)
    pairs = image_classes(split="all", folder=str(tmp_path / "pictures"))
    assert excluded_of(pairs) == [(place, f"{NOT_REGULAR}, or a lost link")]


def test_what_takes_the_place_of_a_captioned_file_is_not_waited_for(tmp_path):
    """Also the file of a hub's row, a shard, and Visual Genome's picture go this way."""
    folder = write_files(tmp_path / "pictures", ["1.png"])
    captions = write_table(tmp_path / "c.csv", ["file", "caption"], [["1.png", "one"], ["2.png", "two"]])
    os.mkfifo(tmp_path / "pictures" / "2.png")
    pairs = image_captions(split="all", folder=str(folder), captions=str(captions))
    assert [item for item, _ in excluded_of(pairs)] == ["2.png"]
    (tmp_path / "pictures" / "1.png").unlink()
    os.mkfifo(tmp_path / "pictures" / "1.png")
    with pytest.raises(OSError, match="no regular file"):
        pairs.left.read(0)
    with pytest.raises(OSError, match="no regular file"):
        scan_tar(tmp_path / "pictures" / "1.png", "image")


def test_folders_of_sounds_that_may_not_be_read_are_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "mnt" / "closed").mkdir(parents=True)
    closed(monkeypatch, "closed", errno.EACCES)
    with pytest.raises(PermissionError, match="closed"):
        source_folders(tmp_path, ["FreeSound"])
