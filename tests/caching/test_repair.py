"""Shards and tables that are damaged or missing: found, named, made again."""

import shutil
import sys
from pathlib import Path

import pytest
from caching_run import content, settings

from fusemix.cli import run as cli
from fusemix.cli.called import run_command
from fusemix.errors import LatentStoreError

# Damaged


def flip_a_bit(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 0b100
    path.write_bytes(bytes(data))


@pytest.fixture
def damaged(cached, tmp_path) -> Path:
    """The third shard of one store has a flipped bit."""
    shutil.copytree(cached, tmp_path / "damaged")
    flip_a_bit(tmp_path / "damaged/all/image/small/latents-00002.npy", -5)
    return tmp_path / "damaged"


def test_one_flipped_bit_is_found_and_named(damaged, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fusemix", "verify", str(damaged / "all")])
    with pytest.raises(SystemExit, match="2"):
        cli.run()
    error = capsys.readouterr().err
    assert "all/image/small/latents-00002.npy (rows 14 to 20) does not have the content" in error
    assert error.count("latents-") == 1
    assert "cache_features.py" in error
    assert "verify=true" in error


def test_a_sound_store_verifies(cached, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fusemix", "verify", str(cached / "all"), str(cached / "all/image/small")])
    cli.run()
    assert "all/image/small: 9 shards are as they were sealed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["items-image.parquet", "links.parquet"])
def test_a_changed_table_is_named(cached, tmp_path, name):

    shutil.copytree(cached / "all", tmp_path / "all")
    flip_a_bit(tmp_path / "all" / name, 10)
    with pytest.raises(LatentStoreError, match=name):
        run_command("verify", [str(tmp_path / "all")])


def test_just_the_damaged_shard_is_made_anew(world, cached, damaged, capsys):
    shards = sorted((damaged / "all").rglob("*.npy"))
    before = {path: path.stat().st_mtime_ns for path in shards}
    run_command("cache_features", settings(world, damaged))
    assert {path: path.stat().st_mtime_ns for path in shards} == before, "nothing is read back unasked"
    run_command("cache_features", settings(world, damaged, "verify=true"))
    assert [p.name for p in shards if p.stat().st_mtime_ns != before[p]] == ["latents-00002.npy"]
    assert "small: 7 in " in capsys.readouterr().out
    assert content(damaged) == content(cached)


def test_a_shard_that_is_missing_is_made_anew_unasked(world, cached, tmp_path):
    shutil.copytree(cached, tmp_path / "out")
    (tmp_path / "out/all/image/large/latents-00004.npy").unlink()
    run_command("cache_features", settings(world, tmp_path / "out"))
    assert content(tmp_path / "out") == content(cached)
