import errno
import json
import os
import resource
import shutil

import numpy as np
import pytest

from fusemix.errors import FusemixError
from fusemix.files import (
    clear_discarded,
    differences,
    discard_folder,
    read_jsonl,
    sha256_of_file,
    sha256_of_json,
    write_atomic,
    write_json,
    write_jsonl,
    write_npy,
    write_text,
)


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    with write_atomic(path) as file:
        file.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"


def test_a_crash_while_writing_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="power cut"), write_atomic(path) as file:
        file.write(b"new")
        raise RuntimeError("power cut")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_do_not_mix_their_bytes(tmp_path):
    path = tmp_path / "a.bin"
    with write_atomic(path) as one:
        with write_atomic(path) as other:
            one.write(b"1" * 100)
            other.write(b"2" * 50)
        one.write(b"1" * 100)
    assert path.read_bytes() == b"1" * 200
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_what_cannot_be_written_is_said_with_its_name_and_the_systems_reason(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        for write in (write_npy, lambda path, array: write_text(path, "x" * 10_000)):
            with pytest.raises(OSError) as found:
                write(tmp_path / "a.npy", np.zeros(10_000))
            assert (found.value.errno, found.value.filename) == (errno.EFBIG, str(tmp_path / "a.npy"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_an_array_is_written_as_numpy_writes_it(tmp_path):
    for array in (np.arange(12, dtype=np.float16).reshape(3, 4), np.asfortranarray(np.eye(3)), np.zeros((0, 4))):
        write_npy(tmp_path / "a.npy", array)
        np.save(tmp_path / "b.npy", array)
        assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_json_refuses_what_json_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_jsonl_keeps_line_separators_inside_a_text(tmp_path):
    rows = [{"caption": "one\u2028two\nthree"}, {"caption": "ünï"}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert read_jsonl(tmp_path / "a.jsonl") == rows


def test_hashes_agree_with_an_independent_computation(tmp_path):
    import hashlib

    content = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    assert sha256_of_json({"b": 1, "a": [2]}) == sha256_of_json(json.loads('{"a": [2], "b": 1}'))
    assert sha256_of_json({"a": 1}) != sha256_of_json({"a": 2})


def test_differences_name_each_field_with_both_values():
    recorded = {"encoder": {"pooling": "cls", "model": "a"}, "dim": 4}
    wanted = {"encoder": {"pooling": "mean", "model": "a"}, "dim": 4, "dtype": "float16"}
    assert differences(recorded, wanted) == [
        "dtype: on disk None, now 'float16'",
        "encoder.pooling: on disk 'cls', now 'mean'",
    ]
    assert differences(wanted, wanted) == []


def test_a_discarded_folder_is_gone_and_what_a_killed_discarding_left_is_cleared(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / "store" / f"{number}").mkdir(parents=True)
        (tmp_path / "store" / f"{number}" / "manifest.json").write_text("{}")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *args, **options: None)  # it dies before it deletes anything
        discard_folder(tmp_path / "store")
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    assert not list(tmp_path.glob("*/manifest.json")) + list(tmp_path.glob("*/*/manifest.json")), "nobody finds it"
    clear_discarded(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_what_discarding_itself_has_left_is_cleared(tmp_path):
    names = [
        ".discarded-",
        ".discarded-a1b2",
        ".discarded-0011223344556677-0011223344556677",
        "discarded-1",
        ".discarded",
    ]
    for name in names:
        (tmp_path / name / "mine").mkdir(parents=True)
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "mine.txt").write_text("stays")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *args, **options: None)
        (tmp_path / "store").mkdir()
        discard_folder(tmp_path / "store")
    (ours,) = [path for path in tmp_path.iterdir() if path.name not in (*names, "away")]
    shutil.rmtree(ours)
    ours.symlink_to(tmp_path / "away")
    clear_discarded(tmp_path)
    clear_discarded(tmp_path / "nowhere")
    assert all((tmp_path / name / "mine").is_dir() for name in names)
    assert (tmp_path / "away" / "mine.txt").read_text() == "stays"


def test_discarding_follows_no_link_and_leaves_alone_what_it_cannot_move(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("stays")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(FusemixError, match="link is a symbolic link, and nothing is deleted through one"):
        discard_folder(tmp_path / "link")
    monkeypatch.chdir(tmp_path / "real")
    with pytest.raises(FusemixError, match="real cannot be discarded by a command that runs in it"):
        discard_folder(tmp_path / "real")
    monkeypatch.chdir(tmp_path)

    def busy(self, target):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "rename", busy)  # as where a disk is mounted there
        with pytest.raises(FusemixError, match="real cannot be discarded: Device or resource busy. Delete it by hand"):
            discard_folder(tmp_path / "real")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]
    (tmp_path / "real" / "inner").symlink_to(tmp_path.parent)
    discard_folder(tmp_path / "real")
    assert tmp_path.parent.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
