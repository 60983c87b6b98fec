"""A caching run that is killed within a shard keeps what was encoded, and ends with the bytes of an undisturbed one."""

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from caching_run import content, in_a_child, settings

from fusemix.cli.called import run_command
from fusemix.encoders import reading
from fusemix.errors import LatentStoreError
from fusemix.latents import parts
from fusemix.latents.inspection import store_facts
from fusemix.latents.shard_rows import ShardRows
from fusemix.wiring.caching import filling

ROOT = Path(__file__).parents[2]
ONE_SHARD = "shard_size=60"


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory) -> dict[str, bytes]:
    """What an undisturbed run leaves, in one shard."""
    out = tmp_path_factory.mktemp("whole")
    sys.path.insert(0, str(world))
    run_command("cache_features", settings(world, out, ONE_SHARD))
    sys.path.remove(str(world))
    return content(out)


def part_files(out: Path) -> list[Path]:
    return sorted(out.rglob("part-*"))


def killed_after(
    num_parts: int, world: Path, out: Path, *changes: str, shards: str = ONE_SHARD, wait: float = 0
) -> bool:
    """Cache in a child that is killed when so many parts are there; False where it ended first."""
    child = in_a_child(settings(world, out, shards, *changes))
    while not (ended := os.waitpid(child, os.WNOHANG)[0]) and len(part_files(out)) < num_parts:
        time.sleep(0.003)
    if ended:
        return False
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.fixture
def parts_at_once(monkeypatch):
    """Each window, which are small, and each batch of texts is a part."""
    monkeypatch.setattr(filling, "PART_SEC", 0.0)
    monkeypatch.setattr(reading, "FEW", 3)
    monkeypatch.setenv("SECONDS_A_BATCH", "0.01")


def test_killed_in_a_shard_at_many_moments_it_ends_with_the_bytes_of_an_undisturbed_run(
    world, whole, tmp_path, parts_at_once
):
    out, generator, killed, states = tmp_path / "out", random.Random(1), 0, set()
    while killed < 6:
        there = len(part_files(out))
        if killed_after(there + generator.randint(0, 3), world, out, wait=generator.uniform(0, 0.03)):
            killed += 1
            states.add(len(part_files(out)))
        else:
            shutil.rmtree(out)
    assert len(states) >= 4, "it should have been met in different states"
    run_command("cache_features", settings(world, out, ONE_SHARD))
    assert content(out) == whole, "no part is left"


def test_what_is_in_parts_is_not_encoded_again(world, whole, tmp_path, parts_at_once, capsys, monkeypatch):
    out = tmp_path / "out"
    assert killed_after(9, world, out)
    slugs = {path.parent.name for path in part_files(out)}
    assert slugs == {"small", "large"}
    import own

    encoded, encode = [], own.Pixels.encode

    def counted(self, batch):
        encoded.append((self.side, len(batch)))
        return encode(self, batch)

    monkeypatch.setattr(own.Pixels, "encode", counted)
    capsys.readouterr()
    run_command("cache_features", settings(world, out, ONE_SHARD))
    of_small = sum(count for side, count in encoded if side == 4)
    assert 0 < of_small < 58, "of 58 sound pictures"
    said = " ".join(capsys.readouterr().out.split())
    assert "going on with rows 0 to 59" in said
    assert content(out) == whole


def test_two_processes_go_on_with_the_parts_of_one(world, cached, tmp_path, parts_at_once, programs):
    out = tmp_path / "out"
    assert killed_after(3, world, out, shards="shard_size=7")
    arguments = settings(world, out, "compute.devices=2", "num_workers=1")
    environment = {**os.environ, "PYTHONPATH": str(world)}
    both = programs.run_together(2, ROOT / "cache_features.py", *arguments, env=environment)
    assert [done.returncode for done in both] == [0, 0], both[0].stderr
    assert content(out) == content(cached)


def test_an_encoder_that_comes_later_leaves_the_parts_of_the_first_and_reads_the_rest_with_it(
    world, whole, tmp_path, parts_at_once
):
    out, alone = tmp_path / "out", "encoders={small: {name: 'own:pixels'}, letters: {name: 'own:letters'}}"
    assert killed_after(4, world, out, alone)
    assert killed_after(len(part_files(out)) + 3, world, out)
    run_command("cache_features", settings(world, out, ONE_SHARD))
    assert content(out) == whole


def test_a_part_of_another_fingerprint_a_damaged_one_and_a_row_of_a_changed_file_do_not_count(
    world, whole, tmp_path, parts_at_once
):
    out = tmp_path / "out"
    assert killed_after(12, world, out)
    folder = out / "all/image/small"
    first, second, *_ = sorted(folder.glob("part-*"))
    content_of = bytearray(first.read_bytes())
    content_of[len(content_of) // 3] ^= 1
    first.write_bytes(bytes(content_of))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "OF_WHAT", b"something else")
        other = tmp_path / "other"
        killed_after(4, world, other)
    shutil.copy(sorted((other / "all/image/small").glob("part-*"))[0], second)
    before = (world / "pictures/20.png").stat()
    os.utime(world / "pictures/20.png")
    run_command("cache_features", settings(world, out, ONE_SHARD))
    os.utime(world / "pictures/20.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    digests = {name: data for name, data in content(out).items() if "content-" in name or "set.json" in name}
    assert {name: data for name, data in content(out).items() if name not in digests} == {
        name: data for name, data in whole.items() if name not in digests
    }, "only the noted time of one file is another"


def test_info_says_that_parts_are_there(world, tmp_path, parts_at_once):
    out = tmp_path / "out"
    assert killed_after(3, world, out)
    facts = store_facts(out / "all/image/small")
    assert "It is unfinished: 0 of 1 shards and parts of 1 more are there" in facts.problem


def test_verify_trusts_no_part(world, whole, tmp_path, parts_at_once, capsys):
    out = tmp_path / "out"
    assert killed_after(6, world, out)
    run_command("cache_features", settings(world, out, ONE_SHARD, "verify=true"))
    assert "going on with rows" not in capsys.readouterr().out


def test_items_that_parts_have_set_aside_count_as_bad_and_are_tried_again_on_demand(
    world, tmp_path, parts_at_once, capsys
):
    shutil.copytree(world / "pictures", tmp_path / "pictures")
    sound = (world / "pictures/00.png").read_bytes()
    for name in ("07", "31"):
        (tmp_path / f"pictures/{name}.png").write_bytes(bytes(len(sound)))
    folder, out = f"dataset.options.folder={tmp_path / 'pictures'}", tmp_path / "out"
    assert killed_after(14, world, out, folder)
    with pytest.raises(LatentStoreError, match="items so far could not be used"):
        run_command("cache_features", settings(world, out, ONE_SHARD, folder, "max_bad_fraction=0.001"))
    assert part_files(out), "what was encoded is kept"
    for name in ("07", "31"):
        before = (tmp_path / f"pictures/{name}.png").stat()
        (tmp_path / f"pictures/{name}.png").write_bytes(sound)
        os.utime(tmp_path / f"pictures/{name}.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    run_command("cache_features", settings(world, out, ONE_SHARD, folder, "retry_rejected=true"))
    for slug in ("small", "large"):
        latents = np.load(out / f"all/image/{slug}/latents-00000.npy")
        assert np.isfinite(latents).all()
        assert (latents[[7, 31]] == latents[0]).all()


def test_what_is_overwritten_goes_with_its_parts(world, whole, tmp_path, parts_at_once):
    out = tmp_path / "out"
    assert killed_after(5, world, out, "encoders.small.options={side: 5}")
    with pytest.raises(LatentStoreError, match="small was made by something else"):
        run_command("cache_features", settings(world, out, ONE_SHARD))
    run_command("cache_features", settings(world, out, ONE_SHARD, "overwrite=true"))
    assert content(out) == whole


@pytest.mark.parametrize("rows", [[6, 7, 8], [-1, 0, 1]])
def test_a_part_with_rows_of_no_shard_does_not_count(tmp_path, rows):
    ids = pa.chunked_array([[f"{number}.png" for number in range(60)]])
    large, small = (parts.Parts(tmp_path, ShardRows(ids[:count], None, 8), 2, "a" * 64) for count in (60, 7))
    of_first = np.array([0, 3], np.int64)
    kept = parts.Part(of_first, np.ones((2, 2), np.float32), (), np.zeros(2, np.uint64))
    small.keep(0, kept)
    foreign = kept._replace(rows=np.array(rows[:2], np.int64))
    table = large._table(0, foreign).replace_schema_metadata({parts.OF_WHAT: b"a" * 64})
    pq.write_table(table, tmp_path / "part-00000-00001.parquet", write_page_checksum=True)
    assert small.read(0).rows.tolist() == [0, 3]
