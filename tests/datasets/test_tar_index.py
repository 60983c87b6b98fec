"""The cache of tars' headers, and reading samples out of tars in any order, in any process."""

import os
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_samples import picture, sound
from published_samples import TAR_SAMPLES, write_samples, write_tar

from fusemix.datasets import tar_index, tar_reader
from fusemix.datasets.tar_index import beside, tar_table, tar_tables
from fusemix.datasets.webdataset import webdataset
from fusemix.parts.own_code import user_cache


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def unreadable_as_it_was(path):
    """As large and as old as before, but no tar."""
    state = path.stat()
    path.write_bytes(bytes(state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_the_second_time_a_tar_s_headers_come_from_the_file_beside_it(tmp_path):
    path = write_samples(tmp_path / "t.tar")
    first, content, state = tar_table(path, "image"), path.read_bytes(), path.stat()
    assert {one.name for one in tmp_path.iterdir()} == {"t.tar", "t.tar.fusemix-image"}, "and nothing elsewhere"
    unreadable_as_it_was(path)
    assert tar_table(path, "image").equals(first)
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    beside(path, "image").unlink()
    assert tar_table(path, "image").equals(first)
    assert pq.read_table(beside(path, "image")).equals(first)
    assert len(webdataset(split="all", folder=str(tmp_path)).left) == 3, "what lies beside tars is none"


def test_a_changed_tar_and_another_modality_are_read_anew(tmp_path):
    path = write_samples(tmp_path / "t.tar")
    tar_table(path, "image")
    assert tar_table(path, "audio")["reason"].null_count == 0
    write_samples(path, TAR_SAMPLES[:1])
    os.utime(path, ns=(1, 1))
    assert len(tar_table(path, "image")) == 1
    assert len(pq.read_table(beside(path, "image"))) == 1


def test_where_the_folder_cannot_be_written_the_user_s_cache_serves_and_is_done_without(tmp_path, monkeypatch):
    path = write_samples(tmp_path / "tars" / "t.tar")
    write = tar_index.write_atomic

    def refused(place):
        if place.parent == path.parent:
            raise PermissionError(13, "Permission denied", str(place))
        return write(place)

    monkeypatch.setattr(tar_index, "write_atomic", refused)
    first = tar_table(path, "image")
    assert [one.name for one in path.parent.iterdir()] == ["t.tar"]
    (tmp_path / "file").write_text("in the way")
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert tar_table(path, "image").equals(first)
    unreadable_as_it_was(path)
    assert tar_table(path, "image").equals(first)


HOSTILE = {
    "bytes before the tar": {"offset": [-512, 512, 1024]},
    "bytes behind the tar": {"offset": [512, 512, 1 << 40]},
    "a sum that overflows": {"offset": [512, 512, 2**63 - 1]},
    "no bytes": {"num_bytes": [0, 1, 1]},
    "a key twice": {"key": ["a", "a", "b"]},
    "no key": {"key": ["a", None, "b"]},
    "no caption": {"caption": ["a", None, "b"]},
    "a text that is none": {"caption": pa.array([b"a", b"\xff", b"b"], pa.binary()).view(pa.string())},
    "other columns": {"reason": [1, 2, 3]},
}


@pytest.mark.parametrize("change", [*HOSTILE, "more rows than a tar can have", "no Parquet", "a pipe", "half"])
def test_a_table_beside_a_tar_is_not_believed(tmp_path, change):
    path = write_samples(tmp_path / "t.tar")
    first, place = tar_table(path, "image"), beside(path, "image")
    about = pq.read_schema(place).metadata
    if change in HOSTILE:
        columns = {name: HOSTILE[change].get(name, first[name]) for name in first.column_names}
        kinds = None if change == "other columns" else first.schema
        pq.write_table(pa.table(columns, schema=kinds).replace_schema_metadata(about), place)
    elif change == "a pipe":
        place.unlink()
        os.mkfifo(place)
    elif change == "no Parquet":
        place.write_bytes(b"somebody's own")
    elif change == "half":
        place.write_bytes(place.read_bytes()[:-20])
    else:
        many = pa.concat_tables([first.slice(0, 1)] * 500).set_column(0, "key", pa.array(map(str, range(500))))
        pq.write_table(many.replace_schema_metadata(about), place)
    before = place.read_bytes() if place.is_file() else b""
    assert tar_table(path, "image").equals(first)
    if change in ("no Parquet", "half"):
        assert place.read_bytes() == before, "what does not say that it is ours is not written over"


def test_many_tars_are_read_by_several_processes_and_come_in_order(tmp_path, monkeypatch):
    paths = [
        write_samples(tmp_path / f"{n:02}.tar", [(f"{n:02}{k}", f"{n} {k}") for k in range(n + 1)]) for n in range(9)
    ]
    expected = [tar_index.scan_tar(path, "image") for path in paths]
    monkeypatch.setattr(tar_index, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(tar_index, "usable_cores", lambda: 2)
    tar_table(paths[3], "image")  # is kept already
    who = tmp_path / "who"

    def noted(path, modality, scan=tar_index.scan_tar):
        with who.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return scan(path, modality)

    monkeypatch.setattr(tar_index, "scan_tar", noted)
    assert [table.equals(one) for table, one in zip(tar_tables(paths, "image"), expected, strict=True)] == [True] * 9
    readers = who.read_text().split()
    assert len(readers) == 8
    assert str(os.getpid()) not in readers
    assert [table.equals(one) for table, one in zip(tar_tables(paths, "image"), expected, strict=True)] == [True] * 9
    assert len(who.read_text().split()) == 8, "all are kept now"


def test_the_cache_is_in_the_home_where_no_other_place_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "fusemix"


@pytest.fixture
def many(tmp_path):
    """Pairs out of more tars than stay open."""
    for shard in range(tar_reader.FILES_KEPT_OPEN + 3):
        write_samples(tmp_path / "many" / f"{shard:05}.tar", [(f"{shard:05}000{k}", f"{shard} {k}") for k in range(2)])
    return webdataset(split="all", folder=str(tmp_path / "many"))


def test_any_sample_can_be_read_in_any_order_and_few_files_stay_open(many):
    for row in [*range(len(many.left)), *reversed(range(len(many.left)))]:
        assert many.left.read(row) == picture(row % 2, "JPEG")
        assert len(tar_reader._open_files) <= tar_reader.FILES_KEPT_OPEN


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
        tar_reader.tar_reader(pairs.left.table)(0)
