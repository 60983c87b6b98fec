"""Only regular files of a folder are read, and nothing is waited for."""

import contextlib
import os
import socket

import pytest

from fusemix.disk.regular import open_regular, read_below, read_regular


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"outside")
    (tmp_path / "in" / "near.png").symlink_to("a.png")
    (tmp_path / "in" / "far.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    return tmp_path / "in"


def make_odd(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as listening:  # names of sockets are short
            listening.bind(path.name)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    odd = make_odd(tmp_path / "a.png", kind)
    for read in (read_regular, open_regular):
        with pytest.raises(OSError, match="it is a pipe, a socket or a device, and no regular file"):
            read(odd)


def test_a_folder_and_a_file_that_is_gone_keep_their_errors(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "nowhere")


def test_a_file_in_the_folder_is_read_also_through_a_link_within_it(folder):
    assert read_below(folder, "a.png") == read_below(folder, "near.png") == b"inside"


@pytest.mark.parametrize("path", ["far.png", "up/secret.png"])
def test_a_link_that_leads_out_is_followed_only_where_that_was_asked_for(folder, path):
    with pytest.raises(OSError, match="a link leads out of the folder"):
        read_below(folder, path)
    assert read_below(folder, path, follow_links=True) == b"outside"


@pytest.mark.parametrize("path", ["../secret.png", "x/../../secret.png"])
@pytest.mark.parametrize("follow_links", [False, True])
def test_a_path_that_climbs_out_is_never_followed(folder, path, follow_links):
    for climbing in (path, str(folder.parent / "secret.png")):
        with pytest.raises(OSError, match="it does not lie in the folder"):
            read_below(folder, climbing, follow_links=follow_links)
