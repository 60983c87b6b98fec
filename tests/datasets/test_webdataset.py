"""Folders of tars as img2dataset writes them, and CC3M and SBU, which come so."""

import gc
import sys
from pathlib import Path

import pytest
from dataset_samples import captions_of, contents_of, excluded_of, picture, sound
from published_samples import sample, write_downloads, write_img2dataset, write_tar

from fusemix.datasets import webdataset as module
from fusemix.datasets.webdataset import cc3m, sbu, webdataset
from fusemix.errors import DatasetError

SHARDS = [[("000000000", "A dog."), ("000000001", "A cat.")], [("000010000", "A bus."), ("000010001", "A dog.")]]
CAPTIONS = {
    "00000/000000000": ["A dog."],
    "00000/000000001": ["A cat."],
    "00001/000010000": ["A bus."],
    "00001/000010001": ["A dog."],
}


@pytest.fixture
def folder(tmp_path):
    return write_img2dataset(tmp_path / "tars", SHARDS)


@pytest.mark.parametrize("split", ["all", "train"])
def test_tars_give_their_pictures_and_captions_in_place(folder, split):
    pairs = webdataset(split=split, folder=folder)
    assert {item: sorted(captions) for item, captions in captions_of(pairs).items()} == CAPTIONS
    assert contents_of(pairs.left) == {item: picture(int(item[-3:]), "JPEG") for item in CAPTIONS}
    assert pairs.excluded == ()
    assert pairs.published is None


def test_the_item_table_tells_the_tar_apart_from_its_path_which_may_change(folder, tmp_path):
    first = webdataset(split="all", folder=folder).left.table
    assert first.column_names == ["id", "tar", "path", "offset", "num_bytes", "mtime_ns"]
    for path, time in zip(first["path"].to_pylist(), first["mtime_ns"].to_pylist(), strict=True):
        assert time == Path(path).stat().st_mtime_ns
    (tmp_path / "tars").rename(tmp_path / "moved")
    moved = webdataset(split="all", folder=str(tmp_path / "moved")).left.table
    assert moved.drop_columns("path").equals(first.drop_columns("path"))
    assert not moved["path"].equals(first["path"])


def test_splits_are_folders_where_there_are_any(tmp_path):
    write_img2dataset(tmp_path / "train", SHARDS[:1])
    write_img2dataset(tmp_path / "val", SHARDS[1:])
    found = {split: webdataset(split=split, folder=str(tmp_path)) for split in ("train", "val")}
    assert list(captions_of(found["train"])) == ["train/00000/000000000", "train/00000/000000001"]
    assert list(captions_of(found["val"])) == ["val/00000/000010000", "val/00000/000010001"]
    with pytest.raises(
        DatasetError, match=r"^webdataset: .* has no folder 'test'\. .*are the split 'all' or 'train'\.$"
    ):
        webdataset(split="test", folder=str(tmp_path))


def test_fractions_share_out_all_samples(tmp_path):
    folder = write_img2dataset(tmp_path, [[(f"{n:09}", f"Caption {n}.") for n in range(60)]])
    shares = {"train": 0.5, "validation": 0.5}
    found = [set(captions_of(webdataset(split=s, folder=folder, fractions=shares))) for s in shares]
    assert len(found[0]) + len(found[1]) == len(found[0] | found[1]) == 60
    assert all(15 < len(items) < 45 for items in found)


def test_tars_that_use_the_same_keys_do_not_mix_their_samples(tmp_path):
    write_img2dataset(tmp_path, [SHARDS[0], [(key, caption + "!") for key, caption in SHARDS[0]]])
    assert captions_of(webdataset(split="all", folder=str(tmp_path)))["00001/000000001"] == ["A cat.!"]


def test_sounds_in_tars_work_too(tmp_path):
    write_tar(tmp_path / "0.tar", [("a.wav", sound(3)), ("a.json", '{"caption": "A bell."}')])
    pairs = webdataset(split="all", folder=str(tmp_path), modality="audio")
    assert pairs.left.modality == "audio"
    assert contents_of(pairs.left) == {"0/a": sound(3)}


def test_what_was_not_downloaded_is_listed_with_its_reason(folder, tmp_path):
    statuses = {
        "000000000": ("success", None),
        "000000002": ("failed_to_download", "HTTP Error 404: Not Found"),
        "000000003": ("failed_to_resize", "cannot identify image file <_io.BytesIO object at 0x7f01c8a2f4c0>"),
        "000000004": ("failed_to_download", None),
    }
    write_downloads(tmp_path / "tars" / "00000.parquet", statuses)
    assert excluded_of(webdataset(split="all", folder=folder)) == [
        ("00000/000000002", "failed_to_download: HTTP Error 404: Not Found"),
        ("00000/000000003", "failed_to_resize: cannot identify image file <_io.BytesIO object>"),
        ("00000/000000004", "failed_to_download"),
    ]


def test_equal_reasons_are_one_string_in_memory(tmp_path):
    folder = write_img2dataset(tmp_path, SHARDS)
    for shard in range(2):
        failures = {f"{number:09}": ("failed_to_download", "HTTP Error 404: Not Found") for number in range(50)}
        write_downloads(tmp_path / f"{shard:05}.parquet", failures)
    assert len({id(rejected.reason) for rejected in webdataset(split="all", folder=folder).excluded}) == 1


def test_a_table_of_downloads_that_is_damaged_or_another_s_takes_nothing_away(folder, tmp_path):
    (tmp_path / "tars" / "00000.parquet").write_bytes(b"PAR1 broken off")
    module.pq.write_table(module.pa.table({"x": [1]}), tmp_path / "tars" / "00001.parquet")
    pairs = webdataset(split="all", folder=folder)
    assert len(pairs.left) == 4
    assert excluded_of(pairs) == [("00000.parquet", "cannot be read, so what was not downloaded is not listed")]


def test_a_tar_that_breaks_off_is_listed_once_and_gives_what_lies_before(folder, tmp_path):
    path = tmp_path / "tars" / "00000.tar"
    path.write_bytes(path.read_bytes()[:3000])
    pairs = webdataset(split="all", folder=folder)
    assert "00000/000000000" in captions_of(pairs)
    assert [item for item, reason in excluded_of(pairs) if "breaks off" in reason] == ["00000.tar"]


def test_samples_without_picture_or_caption_are_listed(tmp_path):
    write_tar(tmp_path / "0.tar", [*sample("000", "A dog."), ("001.txt", "No picture."), ("002.jpg", picture(0))])
    assert excluded_of(webdataset(split="all", folder=str(tmp_path))) == [
        ("0/001", "no picture in its tar, by the endings of the names"),
        ("0/002", "no caption: neither .txt nor 'caption' in .json"),
    ]


def test_tars_in_which_nothing_can_be_used_say_why(tmp_path):
    (tmp_path / "0.tar").write_bytes(b"\x1f\x8b compressed")
    with pytest.raises(
        DatasetError, match=r"^webdataset, split 'all': no pair is left\. .*0\.tar: breaks off at byte 0"
    ):
        webdataset(split="all", folder=str(tmp_path))


def test_wrong_options_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"^webdataset: modality must be image or audio, not 'video'\.$"):
        webdataset(split="all", folder=str(tmp_path), modality="video")
    with pytest.raises(DatasetError, match=r"^webdataset: there is no folder nowhere\.$"):
        webdataset(split="all", folder="nowhere")
    with pytest.raises(DatasetError, match=r"^webdataset: there is no \.tar in "):
        webdataset(split="all", folder=str(tmp_path))
    with pytest.raises(DatasetError, match=r"^webdataset has no split 'all'; it has: train\."):
        webdataset(split="all", folder=str(tmp_path), fractions={"train": 0.5})


def test_no_python_object_a_sample_outlives_its_tar(tmp_path):
    folder = write_img2dataset(tmp_path, [[(f"{n:09}", f"Caption {n}.") for n in range(500)]])
    webdataset(split="all", folder=folder)
    gc.collect()
    before = sys.getallocatedblocks()
    pairs = webdataset(split="all", folder=folder)
    gc.collect()
    assert len(pairs.left) == 500
    assert sys.getallocatedblocks() - before < 250


@pytest.mark.parametrize(
    ("factory", "split", "published"),
    [(cc3m, "train", 3_318_333), (cc3m, "validation", 15_840), (sbu, "train", 1_000_000)],
    ids=["cc3m train", "cc3m validation", "sbu"],
)
def test_copies_carry_the_published_counts_since_links_rot(tmp_path, factory, split, published):
    write_img2dataset(tmp_path / split, SHARDS)
    pairs = factory(split=split, folder=str(tmp_path))
    assert pairs.published == (published, published)
    assert (pairs.dataset, pairs.split, len(pairs.left)) == (factory.__name__, split, 4)


def test_tars_that_lie_in_the_folder_itself_are_train_alone(folder):
    assert len(cc3m(split="train", folder=folder).left) == 4
    with pytest.raises(DatasetError, match=r"^cc3m: .*tars has no folder 'validation'\."):
        cc3m(split="validation", folder=folder)
    with pytest.raises(DatasetError, match=r"^sbu has no split 'validation'; it has: train\.$"):
        sbu(split="validation", folder=folder)


def test_a_copy_that_holds_more_than_was_published_is_refused(folder, monkeypatch):
    monkeypatch.setitem(module.PUBLISHED, "sbu", {"train": 3})
    with pytest.raises(
        DatasetError,
        match=r"^sbu, split 'train': published with 3 pictures, but the tars in .*tars hold 4\. .* set "
        r"dataset\.name=webdataset if this is meant\.$",
    ):
        sbu(split="train", folder=folder)
