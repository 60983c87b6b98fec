"""Media that were replaced, broken ones that were fixed, and what was set aside: the same command notices."""

import io
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from caching_run import content, settings
from PIL import Image

from fusemix.cli.called import run_command
from fusemix.errors import LatentStoreError
from fusemix.latents.records import read_quarantine


@pytest.fixture
def own(tmp_path) -> Path:
    """Nine pictures of one size in bytes, in shards of seven, cached once; the last one is broken."""
    (tmp_path / "pictures").mkdir()
    for number in range(9):
        Image.new("RGB", (6, 4), (20 * number, 0, 255)).save(tmp_path / "pictures" / f"{number}.bmp")
    (tmp_path / "pictures" / "8.bmp").write_bytes(b"no picture" + bytes(124))
    lines = [f"{number}.bmp,picture {number}" for number in range(9)]
    (tmp_path / "captions.csv").write_text("\n".join(["file,caption", *lines]))
    assert len({path.stat().st_size for path in (tmp_path / "pictures").iterdir()}) == 1
    run(tmp_path)
    return tmp_path


def run(world: Path, *changes: str) -> np.ndarray:
    """Cache once more; gives the red of each picture as its latent has it."""
    encoders = "encoders={small: {name: 'own:pixels', options: {side: 1}}}"
    run_command("cache_features", settings(world, world / "out", encoders, "max_bad_fraction=0.5", *changes))
    shards = sorted((world / "out/all/image/small").glob("latents-*.npy"))
    return (np.concatenate([np.load(path)[:, 0] for path in shards]).astype(float) * 255 / 20).round(2)


RED = [0, 1, 2, 3, 4, 5, 6, 7, np.nan]


def swap(one: Path, other: Path) -> None:
    aside = one.with_suffix(".aside")
    one.rename(aside), other.rename(one), aside.rename(other)


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("latents-*.npy")}


def test_pictures_of_equal_size_that_changed_places_are_encoded_again_and_no_others(own, capsys):
    store = own / "out/all/image/small"
    pictures = own / "pictures"
    os.utime(pictures / "1.bmp", (1, 1))  # files made at once may bear one time
    before = times(store)
    np.testing.assert_allclose(run(own), RED, atol=0.05)
    assert times(store) == before, "a time alone is no other content"
    swap(pictures / "1.bmp", pictures / "2.bmp")
    capsys.readouterr()
    np.testing.assert_allclose(run(own), [0, 2, 1, 3, 4, 5, 6, 7, np.nan], atol=0.05)
    assert "image/small: 2 items have another content than was encoded, such as 1.bmp. 1 shards are made again" in (
        capsys.readouterr().out
    )
    assert times(store)["latents-00001.npy"] == before["latents-00001.npy"]
    run_command("verify", [str(own / "out/all")])
    run(own)
    assert "another content" not in capsys.readouterr().out, "now it is what is there"


def test_a_replaced_picture_with_the_old_time_is_noticed_where_everything_is_read_back(own):
    picture = own / "pictures" / "7.bmp"
    before = picture.stat()
    Image.new("RGB", (6, 4), (200, 0, 255)).save(picture)
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(own)[7] == pytest.approx(7, abs=0.05)
    assert run(own, "verify=true")[7] == pytest.approx(10, abs=0.05)


def test_files_that_were_only_copied_elsewhere_are_compared_once_and_nothing_is_made_anew(own, capsys, monkeypatch):
    store = own / "out/all/image/small"
    before = times(store)
    shutil.copytree(own / "pictures", own / "elsewhere")
    for path in (own / "elsewhere").iterdir():
        os.utime(path, (2, 2))
    monkeypatch.setattr("fusemix.wiring.caching.content.digest_of", counted := Counted())
    changes = [f"dataset.options.folder={own / 'elsewhere'}"]
    run(own, *changes)
    assert counted.calls == 9
    run(own, *changes)
    assert (counted.calls, times(store)) == (9, before)
    run_command("verify", [str(own / "out/all")])


class Counted:
    """The digest, and how often it was asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self, raw):
        from fusemix.encoders.content import digest_of

        self.calls += 1
        return digest_of(raw)


def write_tar(path: Path, reds: list[int]) -> None:
    """Pictures of some reds, each padded to one size, so that every byte of the tar lies where it lay."""
    with tarfile.open(path, "w") as tar:
        for number, red in enumerate(reds):
            picture = io.BytesIO()
            Image.new("RGB", (6, 4), (red, 0, 255)).save(picture, "PNG")
            parts = {"png": picture.getvalue().ljust(200, b"\0"), "txt": f"picture {number}".encode()}
            for part, content in parts.items():
                member = tarfile.TarInfo(f"{number}.{part}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def test_a_tar_replaced_by_one_of_equal_sizes_is_noticed(own, capsys):
    (own / "tars").mkdir()
    tar, out = own / "tars" / "0.tar", own / "from_tars"
    given = [
        "dataset.name=webdataset",
        f"dataset.options.folder={own / 'tars'}",
        "splits=[all]",
        "compute.accelerator=cpu",
    ]
    given += ["encoders.small={name: 'own:pixels', options: {side: 1}}", "num_workers=0", f"out={out}"]
    write_tar(tar, [20, 40, 60])
    run_command("cache_features", given)
    size = tar.stat().st_size
    write_tar(tar, [20, 60, 40])
    assert tar.stat().st_size == size
    run_command("cache_features", given)
    assert "2 items have another content than was encoded, such as 0/1" in capsys.readouterr().out
    latents = np.load(out / "all/image/small/latents-00000.npy")[:, 0] * 255
    np.testing.assert_allclose(latents.astype(float), [20, 60, 40], atol=0.1)


def test_a_broken_picture_that_was_mended_gets_its_latent(own):
    Image.new("RGB", (6, 4), (160, 0, 255)).save(own / "pictures" / "8.bmp")
    np.testing.assert_allclose(run(own), [*RED[:-1], 8], atol=0.05)
    assert read_quarantine(own / "out/all/image/small") == []


def test_what_is_noted_of_the_content_may_be_lost_and_is_found_again_without_encoding(own):
    store = own / "out/all/image/small"
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    made = times(store)
    (store / "content-00000.bin").unlink()
    (store / "content-00001.bin").write_bytes(b"half")
    with pytest.raises(LatentStoreError, match=r"(?s)2 damaged:.*content-00000.bin is missing, or not what it was"):
        run_command("verify", [str(own / "out/all")])
    run(own)
    assert ({path.name: path.read_bytes() for path in store.iterdir()}, times(store)) == (before, made)


def test_files_replaced_while_a_store_is_unfinished_are_noticed_too(own):
    store = own / "out/all/image/small"
    shutil.rmtree(own / "out")
    Image.new("RGB", (6, 4), (100, 0, 255)).save(own / "pictures" / "0.bmp")
    for number in (7, 8):
        (own / "pictures" / f"{number}.bmp").write_bytes(b"no picture" + bytes(124))
    with pytest.raises(LatentStoreError, match="max_bad_fraction"):
        run(own, "max_bad_fraction=0.1")
    assert (store / "latents-00000.json").is_file()
    Image.new("RGB", (6, 4), (60, 0, 255)).save(own / "pictures" / "0.bmp")
    np.testing.assert_allclose(run(own), [3, *RED[1:7], np.nan, np.nan], atol=0.05)


def test_a_store_of_before_says_what_cannot_be_told(own, capsys):
    store = own / "out/all/image/small"
    about = json.loads((store / "manifest.json").read_text())
    for shard in about["shards"]:
        del shard["content_sha256"]
    (store / "manifest.json").write_text(json.dumps(about))
    for path in store.glob("content-*"):
        path.unlink()
    run(own)
    assert "cannot be told" not in capsys.readouterr().out
    run(own, "verify=true")
    assert "image/small: 2 shards do not say what they were made from" in capsys.readouterr().out
    run_command("verify", [str(own / "out/all")])


# Set aside


def test_what_was_set_aside_by_a_passing_error_is_tried_again_and_all_else_stays_bit_for_bit(
    world, cached, tmp_path, monkeypatch, capsys
):
    from fusemix.datasets.pairs import FileReader

    read, out = FileReader.__call__, tmp_path / "out"

    def failing(self, row):
        if row in (3, 20, 59):
            raise ValueError("a passing one")
        return read(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(FileReader, "__call__", failing)
        run_command("cache_features", settings(world, out))
    store = out / "all/image/small"
    sound = {path.name: path.stat().st_mtime_ns for path in store.glob("latents-*.npy")}
    assert len(read_quarantine(store)) == 5
    run_command("cache_features", settings(world, out))
    assert len(read_quarantine(store)) == 5, "not unasked"
    capsys.readouterr()
    run_command("cache_features", settings(world, out, "retry_rejected=true"))
    said = capsys.readouterr().out
    assert re.search("image/small: 3 of 5 .*\n(.*\n)*.*image/large: 3 of 5 ", said)
    assert [item.id for item in read_quarantine(store)] == ["07.png", "31.png"]
    touched = {name for name, time in sound.items() if (store / name).stat().st_mtime_ns != time}
    assert not touched & {"latents-00003.npy", "latents-00005.npy"}
    assert content(out) == content(cached)  # these encoders do not depend on the batch
    run_command("verify", [str(out / "all")])


def test_trying_again_what_is_still_broken_changes_nothing(world, cached, tmp_path, capsys):
    shutil.copytree(cached, tmp_path / "out")
    run_command("cache_features", settings(world, tmp_path / "out", "retry_rejected=true"))
    assert "image/small: 0 of 2 " in capsys.readouterr().out
    assert content(tmp_path / "out") == content(cached)
