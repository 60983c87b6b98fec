"""The header pass over one tar: which samples it holds, and what each of them lacks."""

import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest
from dataset_samples import picture
from published_samples import TAR_SAMPLES, write_samples, write_tar

from fusemix.datasets.tars import scan_tar, split_name
from fusemix.datasets.webdataset import webdataset


def rows_of(table):
    return {row["key"]: (row["caption"], row["reason"]) for row in table.to_pylist()}


def test_every_sample_is_where_tarfile_says_it_is(tmp_path):
    path = write_samples(tmp_path / "00000.tar")
    with tarfile.open(path) as tar:
        expected = [(m.name[:-4], m.offset_data, m.size) for m in tar if m.name.endswith(".jpg")]
    table = scan_tar(path, "image")
    assert list(zip(*(table[name].to_pylist() for name in ("key", "offset", "num_bytes")), strict=True)) == expected
    assert table["caption"].to_pylist() == ["A dog.", "A cat.", "A bus."]
    assert table["reason"].null_count == 3


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("a.jpg", b"x"), ("a.txt", " A dog. \n")], ("A dog.", None)),
        ([("a.json", json.dumps({"caption": "A dog."})), ("a.jpg", b"x")], ("A dog.", None)),
        ([("a.json", json.dumps({"caption": "No."})), ("a.txt", "Yes."), ("a.PNG", b"x")], ("Yes.", None)),
        ([("a.jpg", b"x"), ("a.json", '{"caption": "half \\ud83d"}')], ("half ?", None)),
        ([("a.jpg", b"x"), ("a.txt", b"\xef\xbb\xbfA dog.")], ("A dog.", None)),
        ([("a.jpg", b"x"), ("a.txt", b"caf\xe9")], (None, "no caption: its .txt is not UTF-8")),
        ([("a.jpg", b"x"), ("a.txt", b"caf\xe9"), ("a.json", '{"caption": "café"}')], ("café", None)),
        ([("a.jpg", b"x"), ("a.txt", " "), ("a.json", '{"caption": "A dog."}')], ("A dog.", None)),
        ([("a.jpg", b"x"), ("a.json", '{"caption": NaN}')], (None, "no caption: neither .txt nor 'caption' in .json")),
        ([("a.jpg", b"x")], (None, "no caption: neither .txt nor 'caption' in .json")),
        ([("a.jpg", b"x"), ("a.txt", " ")], (None, "no caption: neither .txt nor 'caption' in .json")),
        ([("a.jpg", b"x"), ("a.json", "{")], (None, "no caption: its .json is damaged")),
        (
            [("a.jpg", b"x"), ("a.json", '{"caption": [["a"]]}')],
            (None, "no caption: in its .json is a list within a list"),
        ),
        (
            [("a.jpg", b"x"), ("a.json", '{"caption": "a", "caption": "b"}')],
            (None, "no caption: in its .json is 'caption' twice"),
        ),
        ([("a.jpg", b"x"), ("a.json", '{"caption": 3}')], (None, "no caption: in its .json is the number 3")),
        ([("a.txt", "A dog.")], (None, "no picture in its tar, by the endings of the names")),
        ([("a.jpg", b""), ("a.txt", "A dog.")], (None, "empty file")),
    ],
)
def test_a_sample_needs_a_picture_and_a_caption(tmp_path, members, expected):
    assert rows_of(scan_tar(write_tar(tmp_path / "t.tar", members), "image")) == {"a": expected}


def test_sounds_have_other_endings(tmp_path):
    path = write_tar(tmp_path / "t.tar", [("a.flac", b"x"), ("a.txt", "one"), ("b.mp3", b"x"), ("b.txt", "two")])
    assert rows_of(scan_tar(path, "audio")) == {"a": ("one", None), "b": ("two", None)}
    assert {reason for _, reason in rows_of(scan_tar(path, "image")).values()} == {
        "no picture in its tar, by the endings of the names"
    }


def test_a_key_ends_at_the_first_dot_of_the_name_as_in_webdataset():
    assert split_name("000000012.jpg") == ("000000012", "jpg")
    assert split_name("./a.b/c.seg.PNG") == ("a.b/c", "seg.png")
    assert split_name("README") == ("README", "")


def one_after_another(path, *tars):
    path.write_bytes(b"".join(tar.read_bytes() for tar in tars))
    return path


def test_tars_that_were_appended_to_one_another_are_read_to_the_last(tmp_path):
    tars = [write_samples(tmp_path / f"{n}.tar", [one]) for n, one in enumerate(TAR_SAMPLES)]
    path = one_after_another(tmp_path / "all.tar", *tars)
    assert rows_of(scan_tar(path, "image")) == {key: (caption, None) for key, caption in TAR_SAMPLES}
    pairs = webdataset(split="all", folder=str(tmp_path))
    read = dict(zip(pairs.left.table["id"].to_pylist(), map(pairs.left.read, range(len(pairs.left))), strict=True))
    assert read["all/000000002"] == read["2/000000002"] == picture(2, "JPEG")


def test_what_lies_behind_the_end_of_a_tar_and_is_none_is_said(tmp_path):
    path = write_samples(tmp_path / "0.tar")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(4096) + b"no tar" * 200)
    rows = rows_of(scan_tar(path, "image"))
    assert rows.pop(None) == (None, f"breaks off at byte {size + 4096:,}: what lies behind is lost")
    assert len(rows) == 3


def write_links(path, members, links):
    write_tar(path, members)
    with tarfile.open(path, "a") as tar:
        for name, kind, target in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    return path


def test_a_link_within_a_tar_is_what_it_points_to_and_another_is_said_to_be_one(tmp_path):
    members = [("a/0.jpg", picture(0)), ("a/0.txt", "one"), *((f"b/{n}.txt", f"caption {n}") for n in range(1, 6))]
    links = [
        ("b/1.jpg", tarfile.LNKTYPE, "a/0.jpg"),
        ("b/2.jpg", tarfile.SYMTYPE, "../a/0.jpg"),
        ("b/3.jpg", tarfile.SYMTYPE, "2.jpg"),
        ("b/4.jpg", tarfile.SYMTYPE, "/elsewhere/0.jpg"),
        ("b/5.jpg", tarfile.SYMTYPE, "5.jpg"),
        ("latest", tarfile.SYMTYPE, "b"),
    ]
    table = scan_tar(write_links(tmp_path / "0.tar", members, links), "image")
    places = {row["key"]: (row["offset"], row["caption"]) for row in table.to_pylist() if row["reason"] is None}
    assert places == {"a/0": (512, "one"), **{f"b/{n}": (512, f"caption {n}") for n in (1, 2, 3)}}
    reasons = {row["key"]: row["reason"] for row in table.to_pylist() if row["reason"]}
    assert reasons == dict.fromkeys(
        ("b/4", "b/5"), "its picture or sound is a link to something that is not in its tar"
    )


def test_a_sparse_member_is_listed_and_what_lies_behind_it_is_read(tmp_path):
    (tmp_path / "a.jpg").touch()
    with (tmp_path / "a.jpg").open("r+b") as file:
        file.truncate(10_000_000)
    for name, content in (("a.txt", "A dog."), ("b.jpg", "x"), ("b.txt", "A cat.")):
        (tmp_path / name).write_text(content)
    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("no tar")
    names = ["a.jpg", "a.txt", "b.jpg", "b.txt"]
    subprocess.run([tar, "--sparse", "-cf", "s.tar", *names], cwd=tmp_path, check=True)
    rows = rows_of(scan_tar(tmp_path / "s.tar", "image"))
    assert "stored as a sparse file" in rows["a"][1]
    assert rows["b"] == ("A cat.", None)
    assert len(rows) == 2


def test_folders_of_the_system_within_a_tar_are_passed_over(tmp_path):
    members = [("__MACOSX/d/a.jpg", b"x"), ("__MACOSX/d/a.txt", "no"), ("./d/a.jpg", b"x"), ("./d/a.txt", "yes")]
    write_tar(tmp_path / "s.tar", members)
    assert rows_of(scan_tar(tmp_path / "s.tar", "image")) == {"d/a": ("yes", None)}


def test_each_picture_whose_name_has_dots_is_listed(tmp_path):
    names = ["photo.1", "photo.2", "plain", "shown"]
    members = [m for name in names for m in ((f"{name}.jpg", b"x"), (f"{name}.txt", name))]
    members += [("shown.seg.png", b"y"), ("shown.v2.jpg", b"z"), ("shown.v2.txt", "v2")]
    rows = rows_of(scan_tar(write_tar(tmp_path / "0.tar", members), "image"))
    assert {key for key, (_, reason) in rows.items() if reason is None} == {"plain", "shown"}
    lost = {key: reason for key, (_, reason) in rows.items() if reason}
    assert lost.keys() == {"photo.1.jpg", "photo.2.jpg", "shown.v2.jpg"}
    assert all(
        reason.startswith("its name has dots: WebDataset ends a sample's key at the") for reason in lost.values()
    )


def test_names_that_are_not_utf8_stay_apart(tmp_path):
    members = [(f"caf{letter}.{part}", f"{letter}") for letter in ("\udce9", "\udcea") for part in ("jpg", "txt")]
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for name, text in members:
            content = text.encode("utf-8", "backslashreplace")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert rows_of(scan_tar(path, "image")) == {
        "caf\\udce9": ("\\udce9", None),
        "caf\\udcea": ("\\udcea", None),
    }


def test_a_key_that_occurs_twice_keeps_its_first_picture(tmp_path):
    path = write_tar(tmp_path / "t.tar", [("a.jpg", b"x"), ("a.txt", "one"), ("a.jpg", b"y"), ("a.txt", "two")])
    first, second = scan_tar(path, "image").to_pylist()
    assert (first["offset"], first["caption"], first["reason"]) == (512, "one", None)
    assert second["reason"] == "occurs more than once in its tar: the first one is kept"


@pytest.mark.parametrize("cut", range(0, 10_000, 97))
def test_a_tar_that_breaks_off_anywhere_gives_the_samples_before_the_break(tmp_path, cut):
    path = write_samples(tmp_path / "t.tar")
    with tarfile.open(path) as tar:
        ends = {}
        for member in tar:  # a sample is whole where its picture is, and one of its two captions
            key, kind = member.name.split(".")
            ends.setdefault(key, {})[kind] = member.offset_data + member.size
        end_mark = tar.offset
    whole = {key: max(parts["jpg"], min(parts["json"], parts["txt"])) for key, parts in ends.items()}
    path.write_bytes(path.read_bytes()[:cut])
    found = scan_tar(path, "image").to_pylist()
    assert [row["key"] for row in found if row["reason"] is None] == [k for k, end in whole.items() if end <= cut]
    broken = [row["reason"] for row in found if row["key"] is None]
    assert len(broken) == (cut < end_mark + 512)
    assert all(reason.startswith("breaks off at byte ") for reason in broken)


def test_a_damaged_header_ends_a_tar_and_a_file_that_is_no_tar_gives_nothing(tmp_path):
    path = write_samples(tmp_path / "t.tar")
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        second = next(member.offset for member in tar if member.name == "000000001.jpg")
    content[second : second + 512] = os.urandom(512)
    path.write_bytes(content)
    assert rows_of(scan_tar(path, "image")) == {
        "000000000": ("A dog.", None),
        None: (None, f"breaks off at byte {second:,}: what lies behind is lost"),
    }
    path.write_bytes(b"")
    assert rows_of(scan_tar(path, "image")) == {None: (None, "breaks off at byte 0: what lies behind is lost")}


def test_names_longer_than_a_header_holds_are_read_whole(tmp_path):
    long = "x" * 150
    path = write_tar(tmp_path / "t.tar", [(f"{long}.jpg", b"x"), (f"{long}.txt", "one")])
    assert rows_of(scan_tar(path, "image")) == {long: ("one", None)}
