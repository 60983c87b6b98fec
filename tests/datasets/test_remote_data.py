"""Data sets behind URLs give what the same files give on this machine."""

import os
import shutil
from pathlib import Path

import pytest
import shelf
from remote_samples import captioned, photos, png, same, shards, tars, to_memory

from fusemix.datasets import DATASETS, tar_index
from fusemix.errors import DatasetError


@pytest.fixture(autouse=True)
def store(shelf_folder) -> Path:
    return shelf_folder


@pytest.mark.parametrize("url", ["memory://bucket/photos", "shelf://photos"])
def test_a_folder_with_captions_behind_a_url_is_the_folder_on_this_machine(store, tmp_path, url):
    here = photos(store / "photos")
    to_memory(here, "memory://bucket/photos")
    found = captioned(url)
    same(found, captioned(str(here)))
    assert found.left.table["path"][0].as_py() == f"{url}/{found.left.table['id'][0].as_py()}"


def test_ten_thousand_files_are_found_by_one_listing(store):
    (store / "many").mkdir()
    for number in range(10_000):
        (store / "many" / f"{number:05}.png").write_bytes(b"x")
    lines = [f"{number:05}.png#0\tnumber {number}" for number in range(10_000)]
    (store / "captions.token").write_text("\n".join(lines))
    assert len(captioned("shelf://many", captions="shelf://captions.token").left) == 10_000
    asked = [method for method, _ in shelf.CALLS]
    assert asked.count("find") == 1
    assert asked.count("ls") == 0
    assert asked.count("info") < 10


def test_a_file_replaced_by_another_has_another_time(store):
    photos(store / "photos")
    before = captioned("shelf://photos").left.table
    changed = store / "photos" / "b\u00fccher-0.png"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    after = captioned("shelf://photos").left.table
    differs = [a != b for a, b in zip(before["mtime_ns"].to_pylist(), after["mtime_ns"].to_pylist(), strict=True)]
    assert differs == [name == "b\u00fccher-0.png" for name in before["id"].to_pylist()]


def test_a_file_whose_size_has_changed_since_the_listing_is_not_read_in_part(store):
    photos(store / "photos")
    found = captioned("shelf://photos").left
    shelf.GIVEN.clear()
    assert found.read(0) == (store / "photos" / found.table["id"][0].as_py()).read_bytes()
    assert len(shelf.GIVEN) == 1
    with (store / "photos" / found.table["id"][0].as_py()).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="shelf://photos/.* it was changed since it was listed"):
        found.read(0)


def test_a_caption_file_that_has_changed_is_fetched_again_and_another_is_not(store):
    photos(store / "photos")
    captioned("shelf://photos")
    fetched = [path for method, path in shelf.CALLS if method == "open"]
    captioned("shelf://photos")
    assert [path for method, path in shelf.CALLS if method == "open"] == fetched == ["photos/captions.csv"]
    (store / "photos" / "captions.csv").write_text("file,caption\nb\u00fccher-0.png,other words", encoding="utf-8")
    assert captioned("shelf://photos").right.table["caption"].to_pylist() == ["other words"]


def test_a_name_that_leads_out_of_the_folder_is_no_file_of_it(store):
    photos(store / "photos")
    (store / "secret.png").write_bytes(png(9))
    (store / "photos" / "captions.csv").write_text(
        "file,caption\nb\u00fccher-0.png,mine\n../secret.png,theirs\nshelf://secret.png,theirs\n/secret.png,theirs\n"
        "http://internal/secret.png,theirs\n",
        encoding="utf-8",
    )
    assert captioned("shelf://photos").left.table["id"].to_pylist() == ["b\u00fccher-0.png"]


@pytest.mark.parametrize("url", ["memory://bucket/tars", "shelf://tars"])
def test_tars_behind_a_url_are_the_tars_on_this_machine(store, url):
    here = shards(store / "tars")
    to_memory(here, "memory://bucket/tars")
    found = tars(url)
    assert len(found.left) == 12
    assert [item.id for item in found.excluded] == ["00000/000000009"]
    same(found, tars(str(here)))
    same(tars(url, split="test", fractions={"train": 0.5, "test": 0.5}),
         tars(str(here), split="test", fractions={"train": 0.5, "test": 0.5}))  # fmt: skip


def test_a_pattern_names_some_of_the_tars(store, tmp_path):
    here = shards(store / "tars")
    for folder in ("shelf://tars", str(here)):
        assert len(tars(f"{folder}/{{00000..00001}}.tar").left) == 8
        assert set(tars(f"{folder}/{{00000,00002}}.tar").left.table["tar"].to_pylist()) == {"00000.tar", "00002.tar"}
        with pytest.raises(
            DatasetError, match="of the 4 tars that the pattern names, 1 are not in .*, such as 00003.tar"
        ):
            tars(f"{folder}/{{00000..00003}}.tar")


def test_a_folder_of_the_splits_name_is_the_split_behind_a_url_too(store):
    shards(store / "tars" / "train", 2)
    shards(store / "tars" / "val", 1)
    assert (len(tars("shelf://tars", "train").left), len(tars("shelf://tars", "validation").left)) == (8, 4)


def test_headers_of_tars_are_read_once_and_kept_on_this_machine(store, tmp_path):
    shards(store / "tars")
    first = tars("shelf://tars")
    assert len(list((tmp_path / "cache" / "fusemix" / "tars").glob("*.parquet"))) == 3
    before = [path for method, path in shelf.CALLS if method == "cat" and path.endswith(".tar")]
    second = tars("shelf://tars")
    assert [path for method, path in shelf.CALLS if method == "cat" and path.endswith(".tar")] == before != []
    same(first, second)
    assert not list((store / "tars").glob("*.fusemix-*"))
    shutil.copy(store / "tars" / "00001.tar", store / "tars" / "00002.tar")
    assert tars("shelf://tars").left.table["id"].to_pylist()[-1] == "00002/000000013"


def test_headers_behind_a_url_are_read_by_several_processes_as_by_one(store, monkeypatch):
    shards(store / "tars", 4)
    monkeypatch.setattr(tar_index, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(tar_index, "usable_cores", lambda: 2)
    before = DATASETS.build("image_captions", {"folder": "shelf://tars", "captions": _any(store)}, split="all")
    assert len(before.left) == 1  # so that this process has used fsspec before it is forked
    same(tars("shelf://tars"), tars(str(store / "tars")))


def _any(store: Path) -> str:
    (store / "any.token").write_text("00000.tar#0\ta tar")
    return str(store / "any.token")


def test_a_tar_is_read_in_ranges_and_not_whole(store):
    shards(store / "long")
    with (store / "long" / "00000.tar").open("ab") as file:
        file.write(bytes(8 << 20))
    found = tars("shelf://long")
    shelf.GIVEN.clear()
    assert [found.left.read(row) for row in range(4)] == [png(number) for number in range(4)]
    assert 0 < sum(shelf.GIVEN) < 2 << 20
    assert len(shelf.GIVEN) == 1  # samples that lie side by side come by one request


def test_forked_processes_read_by_file_systems_of_their_own(store):
    photos(store / "photos")
    found = captioned("shelf://photos").left
    wanted = found.read(0)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"same" if found.read(0) == wanted else b"other")
        os._exit(0)
    os.close(tell)
    assert os.read(told, 10) == b"same"
    os.waitpid(child, 0)
