"""Independent jobs that fill one set side by side, each its part of the shards (part=i/n)."""

import os
import signal
import time

import pytest
from caching_run import content, in_a_child, settings

from fusemix.cli.called import run_command
from fusemix.config import CacheConfig, PartConfig
from fusemix.disk.files import read_json
from fusemix.disk.locks import one_writer
from fusemix.disk.shares import Share, side_by_side
from fusemix.errors import ConfigError, LatentStoreError, OutputError
from fusemix.wiring.caching import filling


def run(world, out, *changes):
    run_command("cache_features", settings(world, out, *changes))


def shards(out):
    return sorted(path.name for path in (out / "all/image/small").glob("latents-*.npy"))


def test_two_jobs_at_once_of_which_one_is_killed_and_comes_back_leave_the_bytes_of_a_plain_run(
    world, cached, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("SECONDS_A_BATCH", "0.02")
    out = tmp_path / "out"
    jobs = [in_a_child(settings(world, out, f"part={number}/2")) for number in (1, 2)]
    deadline = time.monotonic() + 60
    while len(shards(out)) < 3 and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(jobs[0], signal.SIGKILL)
    was_killed = os.WIFSIGNALED(os.waitpid(jobs[0], 0)[1])
    assert was_killed, "it should have had more to do"
    assert os.waitpid(jobs[1], 0)[1] == 0
    there = set(shards(out))
    assert there >= {f"latents-{index:05}.npy" for index in range(1, 9, 2)}, "the other one has gone on"
    assert not (out / "all/image/small/manifest.json").exists()
    run(world, out, "part=1/2")
    assert "cached small, large, letters over all" in capsys.readouterr().out
    assert content(out) == content(cached)
    assert not list(out.glob(".all*")), "no lock is left"


def test_each_job_writes_its_own_shards_and_says_what_is_left_and_a_plain_run_fills_it(world, cached, tmp_path, capsys):
    run(world, tmp_path, "part=2/3")
    assert shards(tmp_path) == ["latents-00001.npy", "latents-00004.npy", "latents-00007.npy"]
    said = " ".join(capsys.readouterr().out.split())
    assert "18 of 27 shards" in said
    run(world, tmp_path, "part=1/3")
    assert "9 of 27 shards" in " ".join(capsys.readouterr().out.split())
    run(world, tmp_path)
    assert content(tmp_path) == content(cached)


def test_a_set_whose_last_job_was_killed_before_it_sealed_is_sealed_by_any(world, cached, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(filling, "sealed", lambda side, beside: [])
        for number in (1, 2):
            run(world, tmp_path, f"part={number}/2")
    assert not list(tmp_path.rglob("manifest.json"))
    run(world, tmp_path, "part=1/2")
    assert content(tmp_path) == content(cached)
    run(world, tmp_path, "part=2/2")
    assert content(tmp_path) == content(cached), "once more changes nothing"


def test_jobs_of_parts_and_single_writers_keep_one_another_out(world, tmp_path):
    out = tmp_path / "out"
    with side_by_side(out / "all", Share(1, 2), doing="cache_features"):
        for refused in ("part=1/2", "part=1/3", "dtype=float16"):
            with pytest.raises(
                OutputError, match=r"(?s)all is being written by another process: `cache_features part=1/2`"
            ):
                run(world, out, refused)
        run(world, out, "part=2/2")
        assert len(shards(out)) == 4
    with one_writer(out / "all", doing="import"), pytest.raises(OutputError, match="another process: `import`"):
        run(world, out, "part=1/2")
    run(world, out, "part=1/2")
    assert (out / "all/image/small/manifest.json").exists()


def test_a_single_writer_waits_until_the_last_job_has_sealed(world, cached, tmp_path, monkeypatch):
    monkeypatch.setenv("SECONDS_A_BATCH", "0.01")
    out = tmp_path / "out"
    job = in_a_child(settings(world, out, "part=1/1"))
    while not shards(out):
        time.sleep(0.002)
    with one_writer(out / "all", doing="import", wait_sec=60.0):
        assert (out / "all/image/small/manifest.json").exists()
    assert os.waitpid(job, 0)[1] == 0
    assert content(out) == content(cached)


def test_a_job_of_another_plan_is_refused_and_told_what_differs(world, tmp_path):
    run(world, tmp_path, "part=1/2")
    before = content(tmp_path)
    for change, told in (
        ("shard_size=9", "shard_size: on disk 7, now 9"),
        ("dtype=float32", "dtype: on disk 'float16', now 'float32'"),
        ("encoders.small.options={side: 5}", r"encoder.side: on disk 4, now 5"),
    ):
        with pytest.raises(LatentStoreError, match=told):
            run(world, tmp_path, "part=2/2", change)
    captions = tmp_path / "captions.csv"
    captions.write_text((world / "captions.csv").read_text().replace("number 5 ", "number five "))
    with pytest.raises(LatentStoreError, match=r"right.sha256: on disk"):
        run(world, tmp_path, "part=2/2", f"dataset.options.captions={captions}")
    captions.unlink()
    assert content(tmp_path) == before


def test_all_jobs_take_the_batch_size_that_the_first_has_measured(world, tmp_path, monkeypatch):
    sizes = iter([3, 5, 5, 5, 5, 5])
    monkeypatch.setattr(filling, "find_batch_size", lambda *_: next(sizes))
    found = []
    for number in (1, 2):
        run(world, tmp_path, f"part={number}/2", "batch_size=auto", "encoders={small: {name: 'own:pixels'}}")
        name = "manifest.json" if number == 2 else "started.json"
        found.append(read_json(tmp_path / "all/image/small" / name)["batch_size"])
    assert found == [3, 3]


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2", ""])
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(ConfigError, match=r"part: .* is no part: write i/n, with i from 1 to n, such as 3/16"):
        CacheConfig(
            dataset=PartConfig(name="d"), splits=["all"], encoders={"e": PartConfig(name="e")}, out="o", part=part
        )


@pytest.mark.parametrize("change", ["overwrite=true", "verify=true", "retry_rejected=true"])
def test_what_concerns_all_shards_is_for_one_command_alone(world, tmp_path, change):
    with pytest.raises(ConfigError, match=rf"part=1/2 cannot be given with {change}"):
        run(world, tmp_path / "out", "part=1/2", change)
