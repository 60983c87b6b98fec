"""`fusemix index` and what it cannot use: pictures that are none, or lie elsewhere, and a disk without room."""

import errno
import json
import os
import resource
import shutil
import sys
from contextlib import contextmanager

import pytest
from index_samples import content, make, photos

from fusemix.cli import run as cli
from fusemix.errors import EncoderError
from fusemix.search.folder import Index
from fusemix.wiring.searching.searcher import Searcher

# Pictures that are none, or lie elsewhere


def test_pipes_and_links_that_lead_out_are_set_aside_and_listed(tiny, tmp_path, capsys):
    folder = photos(tmp_path / "photos", tiny.files["image"][:3])
    photos(tmp_path / "elsewhere", tiny.files["image"][3:5])
    os.mkfifo(folder / "pipe.png")
    (folder / "out.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    out = make(tiny, tmp_path / "out", folder)
    assert list(content(out)) == ["photos/0.png", "photos/1.png", "photos/2.png"]
    listed = {row["id"]: row["reason"] for row in map(json.loads, (out / "quarantine.jsonl").open())}
    assert listed == {
        "photos/pipe.png": "it is a pipe, a socket or a device, and no regular file",
        "photos/out.png": "a link leads out of the folder; follow_links=true takes it",
        "photos/more/": "a link to a folder, which is not followed; follow_links=true takes it",
    }
    assert "set aside: 3, listed in" in " ".join(capsys.readouterr().out.split())
    (folder / "pipe.png").unlink()
    make(tiny, out, folder)
    assert "nothing new" in capsys.readouterr().out
    assert len((out / "quarantine.jsonl").read_text().splitlines()) == 2, "what is fixed is listed no more"
    followed = make(tiny, tmp_path / "followed", folder, "--follow-links")
    assert [item.rpartition("/")[2] for item in content(followed)] == [
        "0.png",
        "1.png",
        "2.png",
        "0.png",
        "1.png",
    ], "out.png leads to a file that is there already"
    searcher = Searcher(followed, device="cpu")
    assert all(searcher.content(position) is not None for position in range(5))


def test_what_has_taken_the_place_of_a_picture_is_not_shown(tiny, tmp_path):
    folder = photos(tmp_path / "photos", tiny.files["image"][:2])
    searcher = Searcher(make(tiny, tmp_path / "out", folder), device="cpu")
    (folder / "0.png").unlink()
    os.mkfifo(folder / "0.png")
    (folder / "1.png").unlink()
    (folder / "1.png").symlink_to(tiny.files["image"][7])
    assert searcher.content(0) is None
    assert searcher.content(1) is None


def test_why_nothing_could_be_embedded_is_listed(tiny, tmp_path):
    (tmp_path / "bad").mkdir()
    for name in "ab":
        (tmp_path / "bad" / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(EncoderError, match="none of 2 items could be embedded: bad/a.png"):
        make(tiny, tmp_path / "out", tmp_path / "bad")
    listed = [json.loads(line)["id"] for line in (tmp_path / "out" / "quarantine.jsonl").open()]
    assert listed == ["bad/a.png", "bad/b.png"]
    shutil.copy(tiny.files["image"][0], tmp_path / "bad" / "a.png")
    assert list(content(make(tiny, tmp_path / "out", tmp_path / "bad"))) == ["bad/a.png"]


# A disk without room


@contextmanager
def files_of_at_most(num_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [100, 3000])
def test_a_file_that_cannot_be_written_is_one_sentence_and_the_same_command_goes_on(
    tiny, tmp_path, most, capsys, monkeypatch
):
    folder = photos(tmp_path / "photos", tiny.files["image"])
    out = tmp_path / "out"
    arguments = [
        "--model",
        tiny.run,
        "--data",
        folder,
        "--out",
        out,
        "--compute.accelerator",
        "cpu",
        "--num-workers",
        "0",
    ]
    monkeypatch.setattr(sys, "argv", ["fusemix", "index", *map(str, arguments)])
    with files_of_at_most(most), pytest.raises(SystemExit, match="2"):
        cli.run()
    said = capsys.readouterr().err
    assert os.strerror(errno.EFBIG) in said
    assert str(out) in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.part"))
    make(tiny, out, folder)
    assert Index(out).num_items == len(tiny.files["image"])
