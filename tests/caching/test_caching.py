"""Stage one as a whole: killed, in parallel, mostly broken, on a full disk."""

import errno
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from caching_run import content, in_a_child, settings

from fusemix.cli import run as cli
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, LatentStoreError

ROOT = Path(__file__).parents[2]


# Killed


def test_killed_at_random_moments_it_ends_with_the_bytes_of_an_undisturbed_run(world, cached, tmp_path, monkeypatch):
    monkeypatch.setenv("SECONDS_A_BATCH", "0.01")
    out, generator, killed, states = tmp_path / "killed", random.Random(0), 0, set()
    slowed = [*settings(world, out), "num_workers=1"]

    def num_shards() -> int:
        return len(list(out.rglob("*.npy")))

    while killed < 6:
        # Some shards on, and a moment: how fast the machine is changes nothing.
        wanted, child, status = num_shards() + generator.randint(0, 3), in_a_child(slowed), None
        while num_shards() < wanted and status is None:
            time.sleep(0.002)
            ended, code = os.waitpid(child, os.WNOHANG)
            status = code if ended else None
        if status is None:
            time.sleep(generator.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            states.add(num_shards())
        else:
            shutil.rmtree(out)  # it was done already: from the start again
    assert len(states) >= 3, "it should have been met in different states"
    run_command("cache_features", slowed)
    assert content(out) == content(cached)


# Parallel


def test_two_processes_give_the_bytes_of_one(world, cached, tmp_path, programs):
    arguments = settings(world, tmp_path / "two", "compute.devices=2", "num_workers=1")
    environment = {**os.environ, "PYTHONPATH": str(world)}
    done = programs.run(ROOT / "cache_features.py", *arguments, env=environment)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "two") == content(cached)
    assert "2 processes share the work" in done.stdout
    assert done.stdout.count("large: 60 × 108 float16") == 1, "only the first process speaks"


def test_a_mistake_of_the_user_is_said_once_whatever_the_number_of_processes(world, tmp_path, programs):
    arguments = settings(world, tmp_path / "two", "compute.devices=2", "max_bad_fraction=0.01")
    environment = {**os.environ, "PYTHONPATH": str(world)}
    both = programs.run_together(2, ROOT / "cache_features.py", *arguments, env=environment)
    said = "".join(done.stderr for done in both)
    assert both[0].returncode == 2, said
    assert said.count("which is more than max_bad_fraction=0.01 allows") == 1
    assert "Traceback" not in said


def test_a_mistake_of_the_user_is_said_once_where_others_start_the_processes(world, tmp_path, programs):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    missing = f"dataset.options.captions={tmp_path / 'nowhere.csv'}"
    arguments = settings(world, tmp_path / "two", "compute.devices=2", missing)
    environment = {**os.environ, "PYTHONPATH": str(world)}
    done = programs.run(*torchrun, ROOT / "cache_features.py", *arguments, env=environment)
    assert done.returncode != 0
    assert done.stderr.count("fusemix: there is no caption file") == 1
    assert "fusemix/commands" not in done.stderr, "the only traceback is torchrun's own"


def test_devices_that_are_not_there_are_named(world, tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"compute.accelerator=cpu, compute.devices=none, compute.num_nodes=1 cannot be used here: .*doctor",
    ):
        run_command("cache_features", settings(world, tmp_path, "compute.devices=none"))


# Added later, refused, mostly broken


def test_an_encoder_added_later_touches_only_its_own_store(world, cached, tmp_path):
    out = tmp_path / "out"
    run_command("cache_features", settings(world, out, "encoders={small: {name: 'own:pixels'}}"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    run_command("cache_features", settings(world, out))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert content(out) == content(cached)


def test_other_weights_preprocessing_or_data_are_refused_field_by_field(world, cached, tmp_path):
    shutil.copytree(cached, tmp_path / "out")
    other_dim = r"(?s)image/large was made by something else:\n  dim: on disk 108, now 75\n  "
    with pytest.raises(LatentStoreError, match=other_dim):
        run_command("cache_features", settings(world, tmp_path / "out", "encoders.large.options.side=5"))
    other = tmp_path / "other.csv"
    other.write_text((world / "captions.csv").read_text().replace("number 5 ", "number five "))
    with pytest.raises(LatentStoreError, match=r"(?s)all was made by something else:.*right.sha256: on disk"):
        run_command("cache_features", settings(world, tmp_path / "out", f"dataset.options.captions={other}"))
    assert content(tmp_path / "out") == content(cached)


def test_a_mostly_broken_data_set_stops_and_keeps_what_was_encoded(world, tmp_path):
    message = r"(?s)items so far could not be used.*07.png \(decode\): UnidentifiedImageError.*What was encoded is kept"
    with pytest.raises(LatentStoreError, match=message):
        run_command("cache_features", settings(world, tmp_path, "max_bad_fraction=0.02"))
    assert (tmp_path / "all/image/small/latents-00000.npy").is_file()
    run_command("cache_features", settings(world, tmp_path, "max_bad_fraction=0.1"))
    assert (tmp_path / "all/image/small/manifest.json").is_file()


def test_a_mostly_broken_data_set_stops_before_a_large_shard_is_full(world, tmp_path):
    for number in range(0, 60, 2):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        (tmp_path / "pictures" / f"{number:02}.png").write_bytes(b"")
        shutil.copy(world / "pictures" / f"{number + 1:02}.png", tmp_path / "pictures")
    changes = [f"dataset.options.folder={tmp_path / 'pictures'}", "shard_size=60"]
    with pytest.raises(LatentStoreError, match=r"all/image: 12 of 21 items so far could not be used"):
        run_command("cache_features", settings(world, tmp_path / "out", *changes))


# Full disk


def test_a_full_disk_is_one_message_and_the_same_command_goes_on(world, cached, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cache_features.py", *settings(world, tmp_path / "out")])
    sync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SystemExit, match="2"):
            cli.run("cache_features")
    error = capsys.readouterr().err
    assert error.startswith("fusemix: ")
    assert "No space left on device" in error
    assert "the same command" in error
    cli.run("cache_features")
    assert content(tmp_path / "out") == content(cached)


# Batch size


def test_an_automatic_batch_size_is_kept_when_the_run_goes_on(world, tmp_path):
    out = tmp_path / "out"
    run_command("cache_features", settings(world, out, "batch_size=auto"))
    manifest = json.loads((out / "all/image/small/manifest.json").read_text())
    assert isinstance(manifest["batch_size"], int)
    (out / "all/image/small/latents-00001.npy").unlink()
    run_command("cache_features", settings(world, out, "batch_size=auto"))
    assert json.loads((out / "all/image/small/manifest.json").read_text()) == manifest


@pytest.mark.parametrize("change", ["batch_size=many", "batch_size=0", "num_workers=some", "num_workers=-1"])
def test_a_number_that_is_none_is_refused(world, tmp_path, change):
    with pytest.raises(ConfigError, match=change.partition("=")[0]):
        run_command("cache_features", settings(world, tmp_path, change))
