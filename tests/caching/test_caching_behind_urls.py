"""Caching from URLs: the latents are those of the same files on this machine, byte for byte."""

import json
import shutil
from pathlib import Path

import fsspec
import pytest
import shelf
from caching_run import content, settings

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError


@pytest.fixture(autouse=True)
def store(shelf_folder, world) -> Path:
    shutil.copytree(world / "pictures", shelf_folder / "world" / "pictures")
    shutil.copy(world / "captions.csv", shelf_folder / "world")
    return shelf_folder


def behind(url: str, out: Path, *changes: str) -> list[str]:
    folder, captions = f"dataset.options.folder={url}/pictures", f"dataset.options.captions={url}/captions.csv"
    return settings(Path(), out, folder, captions, *changes)


def latents(folder: Path) -> dict[str, bytes]:
    """All of a set but what says where its files lie, and when they were changed."""
    return {k: v for k, v in content(folder).items() if not k.endswith(("set.json", "items-image.parquet")) and (
        "content-" not in k)}  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
def test_latents_of_files_behind_a_url_are_those_of_files_on_this_machine(cached, tmp_path, workers):
    run_command("cache_features", behind("shelf://world", tmp_path / "out", f"num_workers={workers}"))
    assert latents(tmp_path / "out") == latents(cached)


def test_latents_of_files_in_memory_are_those_of_files_on_this_machine(world, cached, tmp_path):
    system = fsspec.filesystem("memory")
    for path in [*(world / "pictures").iterdir(), world / "captions.csv"]:
        system.pipe_file(f"/world/{path.relative_to(world).as_posix()}", path.read_bytes())
    run_command("cache_features", behind("memory://world", tmp_path / "out"))
    assert latents(tmp_path / "out") == latents(cached)


def test_a_file_that_was_replaced_behind_a_url_is_noticed_and_others_are_not_read_again(store, tmp_path, capsys):
    arguments = behind("shelf://world", tmp_path / "out")
    run_command("cache_features", arguments)
    shelf.CALLS.clear()
    run_command("cache_features", arguments)
    assert not [path for method, path in shelf.CALLS if method == "cat"]
    picture = store / "world" / "pictures" / "03.png"
    content = bytearray(picture.read_bytes())
    content[-1] ^= 1
    picture.write_bytes(content)
    capsys.readouterr()
    run_command("cache_features", arguments)
    assert "1 items have another content than was encoded, such as 03.png" in capsys.readouterr().out


def test_nothing_on_disk_holds_a_secret_and_a_url_that_does_is_refused(tmp_path):
    for url in ("shelf://me:secret@world", "shelf://world?token=secret"):
        with pytest.raises(ConfigError, match="it holds a user, a password or a query") as refused:
            run_command("cache_features", behind(url, tmp_path / "out"))
        assert "secret" not in str(refused.value)
    assert not (tmp_path / "out").exists()
    run_command("cache_features", behind("shelf://world", tmp_path / "out"))
    source = json.loads((tmp_path / "out" / "all" / "set.json").read_bytes())["source"]["options"]
    assert source == {"folder": "shelf://world/pictures", "captions": "shelf://world/captions.csv"}


def test_the_folder_of_latents_stays_on_this_machine(tmp_path):
    with pytest.raises(ConfigError, match="out is 's3://bucket/latents', but must be a path of this machine"):
        run_command("cache_features", behind("shelf://world", Path("x"), "out=s3://bucket/latents"))
