"""The cache of tars' headers, and reading samples out of tars in any order, in any process."""

import os
import pickle

import pyarrow.parquet as pq
import pytest
from dataset_samples import picture, sound
from published_samples import TAR_SAMPLES, write_samples, write_tar

from fusemix.datasets import tar_index
from fusemix.datasets.tar_index import tar_reader, tar_table
from fusemix.datasets.webdataset import webdataset
from fusemix.own_code import user_cache


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_second_time_a_tar_s_headers_come_from_the_cache(tmp_path):
    path = write_samples(tmp_path / "t.tar")
    first = tar_table(path, "image")
    (entry,) = (user_cache() / "tars").iterdir()
    state, content = path.stat(), path.read_bytes()
    path.write_bytes(bytes(len(content)))  # as large and as old as before, but unreadable
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert tar_table(path, "image").equals(first)
    entry.write_bytes(b"damaged")
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert tar_table(path, "image").equals(first)
    assert pq.read_table(entry).equals(first)


def test_a_changed_tar_and_another_modality_are_read_anew(tmp_path):
    path = write_samples(tmp_path / "t.tar")
    tar_table(path, "image")
    assert tar_table(path, "audio")["reason"].null_count == 0
    write_samples(path, TAR_SAMPLES[:1])
    os.utime(path, ns=(1, 1))
    assert len(tar_table(path, "image")) == 1


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(tar_table(write_samples(tmp_path / "t.tar"), "image")) == 3


def test_the_cache_is_in_the_home_where_no_other_place_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "fusemix"


@pytest.fixture
def many(tmp_path):
    """Pairs out of more tars than stay open."""
    for shard in range(tar_index.FILES_KEPT_OPEN + 3):
        write_samples(tmp_path / "many" / f"{shard:05}.tar", [(f"{shard:05}000{k}", f"{shard} {k}") for k in range(2)])
    return webdataset(split="all", folder=str(tmp_path / "many"))


def test_any_sample_can_be_read_in_any_order_and_few_files_stay_open(many):
    for row in [*range(len(many.left)), *reversed(range(len(many.left)))]:
        assert many.left.read(row) == picture(row % 2, "JPEG")
        assert len(tar_index._open_files) <= tar_index.FILES_KEPT_OPEN


def test_processes_that_read_the_same_tar_do_not_disturb_one_another(many):
    many.left.read(0)
    child = os.fork()
    if child == 0:
        os._exit(not all(many.left.read(row) == picture(row % 2, "JPEG") for row in range(2) for _ in range(200)))
    assert all(many.left.read(row) == picture(row % 2, "JPEG") for row in range(2) for _ in range(200))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_reader_that_was_sent_elsewhere_reads_the_same(many):
    assert pickle.loads(pickle.dumps(many.left.read))(3) == picture(1, "JPEG")


def test_a_tar_that_shrank_since_is_said_so(tmp_path):
    path = write_tar(tmp_path / "s" / "0.tar", [("a.wav", sound(0)), ("a.txt", "one")])
    pairs = webdataset(split="all", folder=str(tmp_path / "s"), modality="audio")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"0\.tar ends at byte 600: it was changed since its headers were read$"):
        tar_reader(pairs.left.table)(0)
