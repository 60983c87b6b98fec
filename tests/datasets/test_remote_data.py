"""Data sets behind URLs give what the same files give on this machine."""

import io
import os
import shutil
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shelf
from PIL import Image

from fusemix.cli.loading import load_config
from fusemix.cli.parts import PARTS
from fusemix.config import CacheConfig
from fusemix.datasets import DATASETS, tar_index
from fusemix.errors import ConfigError, DatasetError, RemoteError, UntrustedCodeError
from fusemix.parts.trust import named_by_data


@pytest.fixture(autouse=True)
def store(shelf_folder) -> Path:
    return shelf_folder


def png(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def photos(folder: Path, count: int = 6) -> Path:
    """Pictures in two folders, one of them with a name that systems write in two ways, and their captions."""
    lines = ["file,caption"]
    for number in range(count):
        name = f"{'sub/' if number % 2 else ''}b\u00fccher-{number}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
        lines.append(f"{name},picture number {number}")
    (folder / "captions.csv").write_text("\n".join([*lines, "gone.png,it is not there"]), encoding="utf-8")
    return folder


def to_memory(folder: Path, url: str) -> None:
    system = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            system.pipe_file(f"{url.removeprefix('memory:/')}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def captioned(folder: str, split: str = "all", **options):
    options = {"folder": folder, "captions": f"{folder}/captions.csv", **options}
    return DATASETS.build("image_captions", options, split=split)


def same(one, other) -> None:
    """Two pair sets are alike, but for where their files lie."""
    for mine, theirs in zip(one.sides, other.sides, strict=True):
        columns = [name for name in mine.table.column_names if name not in ("path", "mtime_ns")]
        assert mine.table.select(columns).equals(theirs.table.select(columns))
        assert [mine.read(row) for row in range(len(mine))] == [theirs.read(row) for row in range(len(theirs))]
    np.testing.assert_array_equal(one.links, other.links)
    assert one.revision == other.revision
    assert [item.id for item in one.excluded] == [item.id for item in other.excluded]


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


def shards(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True)
    for shard in range(count):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for number in range(shard * 10, shard * 10 + 4):
                for ending, content in (("png", png(number)), ("txt", f"caption {number}".encode())):
                    member = tarfile.TarInfo(f"{number:09}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    failed = {"key": ["000000009"], "status": ["failed_to_download"], "error_message": ["404"]}
    pq.write_table(pa.table(failed), folder / "00000.parquet")
    return folder


def tars(folder: str, split: str = "all", **options):
    return DATASETS.build("webdataset", {"folder": folder, **options}, split=split)


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


REFUSED = {
    "simplecache::file:///etc/passwd": "chains protocols",
    "filecache::s3://bucket/x": "chains protocols",
    "zip://x.png::s3://bucket/a.zip": "chains protocols",
    "reference://x": "chains protocols",
    "s3://key:se/cret@bucket/x": "it holds a user, a password or a query",
    "https://token@host/x": "it holds a user, a password or a query",
    "https://host/x.csv?X-Amz-Signature=secret": "it holds a user, a password or a query",
    "s3://": "names no place",
    "s3://bucket/../other": "holds '.' or '..'",
    "nosuch://bucket/x": "fsspec knows no protocol 'nosuch'",
}


@pytest.mark.parametrize("url", REFUSED)
def test_urls_that_chain_or_hold_secrets_are_refused_and_their_secrets_not_told(url):
    settings = ["dataset.name=webdataset", f"dataset.options.folder={url}", "splits=all", "encoders.a=hog", "out=x"]
    asked = [lambda: tars(url), lambda: DATASETS.build("image_captions", {"folder": "x", "captions": url}, split="all")]
    if "nosuch" not in url:  # which protocols there are is known when one is opened
        asked.append(lambda: load_config(CacheConfig, settings, parts=PARTS))
    for ask in asked:
        with pytest.raises(ConfigError) as refused:
            ask()
        assert REFUSED[url] in str(refused.value)
        assert not any(word in str(refused.value) for word in ("secret", "se/cret", "token", "Signature"))


def test_a_local_path_may_be_written_as_a_url_of_a_file(store):
    here = photos(store / "my photos")
    same(captioned(f"file://{here}"), captioned(str(here)))
    settings = ["dataset.name=image_captions", f"dataset.options.folder=file://{here}".replace(" ", "%20"),
                "dataset.options.captions=~/c.csv", "splits=all", "encoders.a=hog", "out=x"]  # fmt: skip
    options = load_config(CacheConfig, settings, parts=PARTS).dataset.options
    assert options == {"folder": str(here), "captions": str(Path("~/c.csv").expanduser())}


def test_settings_leave_a_url_as_it_was_typed():
    settings = ["dataset.name=webdataset", "dataset.options.folder=s3://bucket/{00000..00099}.tar", "splits=all",
                "encoders.a=hog", "out=x"]  # fmt: skip
    assert load_config(CacheConfig, settings, parts=PARTS).dataset.options["folder"] == "s3://bucket/{00000..00099}.tar"


def test_data_may_name_only_urls_that_the_users_own_settings_have_named(store):
    photos(store / "photos")
    photos(store / "other")
    with named_by_data(), pytest.raises(UntrustedCodeError, match="shelf://photos.* is named by data"):
        captioned("shelf://photos")
    assert shelf.CALLS == []
    captioned("shelf://photos")
    with named_by_data():
        assert len(captioned("shelf://photos").left) == 6
        with pytest.raises(UntrustedCodeError, match="shelf://other"):
            captioned("shelf://other")
        with pytest.raises(ConfigError, match="chains protocols"):
            captioned("simplecache::shelf://photos")


def test_a_folder_or_file_that_is_not_there_is_said_by_its_url(store):
    photos(store / "photos")
    with pytest.raises(RemoteError, match="there is no file shelf://photos/none.csv"):
        captioned("shelf://photos", captions="shelf://photos/none.csv")
    with pytest.raises(DatasetError, match="there is no folder shelf://nowhere"):
        captioned("shelf://nowhere", captions="shelf://photos/captions.csv")
    with pytest.raises(DatasetError, match="there is no folder shelf://nowhere"):
        tars("shelf://nowhere")


def test_data_sets_that_read_this_machine_alone_say_so():
    with pytest.raises(
        ConfigError, match="'folder' is 's3://bucket/x', but must be a path of this machine, and no URL"
    ):
        DATASETS.build("image_classes", {"folder": "s3://bucket/x"}, split="all")


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r"s3://bucket/x needs s3fs, the extra 's3' of fusemix.*pip install .*s3fs"):
        tars("s3://bucket/x")


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
