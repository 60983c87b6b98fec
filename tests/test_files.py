import errno
import json
import resource

import numpy as np
import pytest

from fusemix.disk.files import (
    differences,
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
