"""Runs that were broken off, moved, damaged, or met a full disk: they go on, or say what is true."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from latent_samples import learnable_set
from training import arguments, recalls, weights

from fusemix.cli.called import run_command
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.fusion.module import FusionModule
from fusemix.latents import residence
from fusemix.wiring.training import train

SETTINGS = {"optim__max_epochs": 3, "optim__lr": 0.01, "optim__min_lr": 1e-6}
STILL = {**SETTINGS, "optim__lr": 1e-12, "optim__min_lr": 1e-13}
"""All epochs alike: the first one is the best, on any machine."""


class World(NamedTuple):
    """Runs, made once; tests copy them before they go on.

    Attributes:
        settings: of a run in some folder, as arguments.
        whole: a run that nothing disturbed.
        part: the same, broken off in its last epoch, number 2.
        still: another, broken off there, whose best epoch is number 0.
    """

    settings: Callable[..., list[str]]
    whole: Path
    part: Path
    still: Path


def broken_off(settings: list[str], epoch: int) -> None:
    """A run that ends within an epoch, as if it were killed."""

    def step(self, batch, batch_idx):
        if self.current_epoch == epoch and batch_idx == 2:
            raise EOFError("broken off")
        return whole_step(self, batch, batch_idx)

    whole_step = FusionModule.training_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FusionModule, "training_step", step)
        with pytest.raises(EOFError, match="broken off"):
            run_command("train", settings)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    root = tmp_path_factory.mktemp("going_on")
    settings = partial(arguments, partial(learnable_set, root))
    whole, part, still = (root / name for name in ("whole", "part", "still"))
    run_command("train", settings(whole, **SETTINGS))
    broken_off(settings(part, **SETTINGS), 2)
    broken_off(settings(still, **STILL), 2)
    return World(settings, whole, part, still)


@pytest.fixture
def out(world, tmp_path) -> Path:
    """A copy of the run that was broken off."""
    return Path(shutil.copytree(world.part, tmp_path / "run"))


def require_same(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        first, second = weights(one, name), weights(other, name)
        assert all(torch.equal(first[key], second[key]) for key in first), name
    assert recalls(one) == recalls(other)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "checkpoints").iterdir()}


@contextmanager
def files_of_at_most(num_bytes: int):
    """A disk that takes no larger file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("way", ["moved", "linked", "relative"])
def test_a_run_that_goes_on_elsewhere_keeps_its_best_epoch(world, tmp_path, way, monkeypatch, capsys):
    place = Path(shutil.copytree(world.still, tmp_path / ("elsewhere" if way == "linked" else "there")))
    if way == "linked":
        (tmp_path / "there").symlink_to(place)
    monkeypatch.chdir(tmp_path)
    run_command("train", world.settings(Path("there") if way == "relative" else tmp_path / "there", **STILL))
    assert read_checkpoint(place / "checkpoints" / "last.ckpt")["epoch"] == 2
    assert "after epoch 1 of 3" in " ".join(capsys.readouterr().out.split())


def test_a_checkpoint_never_takes_the_place_of_another_before_it_is_whole(world, out, tmp_path, monkeypatch):
    """Copied over the old one, as from another file system, it would change what a second name of that shows."""
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    last, second_name = out / "checkpoints" / "last.ckpt", tmp_path / "second_name"
    os.link(last, second_name)
    before = last.read_bytes()
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        run_command("train", world.settings(out, **SETTINGS))
    assert second_name.read_bytes() == before != last.read_bytes()
    require_same(world.whole, out)


def test_a_full_disk_ends_a_run_with_what_is_true_and_it_goes_on_when_there_is_room(world, out):
    before = contents(out)
    with files_of_at_most(20_000), pytest.raises(RunError) as ended:
        run_command("train", world.settings(out, **SETTINGS))
    assert str(ended.value).startswith(f"{out}/checkpoints/")
    assert "File too large. The run ends here. Make room, or give yourself the right" in str(ended.value)
    assert f"the same command goes on from {out}/checkpoints/last.ckpt" in str(ended.value)
    assert contents(out) == before
    run_command("train", world.settings(out, **SETTINGS))
    require_same(world.whole, out)


def test_a_disk_without_room_for_any_checkpoint_is_no_promise_to_go_on(world, tmp_path):
    out = tmp_path / "run"
    with files_of_at_most(20_000), pytest.raises(RunError, match="starts again, since no checkpoint was saved before"):
        run_command("train", world.settings(out, **SETTINGS))
    assert contents(out) == {}


def test_checkpoints_that_cannot_be_written_are_told_before_anything_is_trained(world, tmp_path):
    (tmp_path / "checkpoints").write_text("a file in the way")
    with pytest.raises(RunError, match="checkpoints cannot be saved in .*checkpoints: .*exists.* choose another out"):
        run_command("train", world.settings(tmp_path, **SETTINGS))


def test_what_a_killed_run_left_half_written_is_cleared_away(world, out):
    for name in (".last.ckpt.part", ".best.ckpt.0123abcd-17-89ef4567.part"):
        (out / "checkpoints" / name).write_bytes(b"half")
    run_command("train", world.settings(out, **SETTINGS))
    assert sorted(contents(out)) == ["best.ckpt", "last.ckpt"]


def test_a_cut_off_checkpoint_is_said_to_be_damaged_and_the_best_one_offered(world, out):
    best, last = (out / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    content = last.read_bytes()
    for share in (0, 0.001, 0.5, 0.999):
        last.write_bytes(content[: int(share * len(content))])
        with pytest.raises(RunError, match=r"(?s)last.ckpt is damaged.*best.ckpt is whole, of epoch .*: cp ") as said:
            run_command("train", world.settings(out, **SETTINGS))
        assert ("it is empty" in str(said.value)) == (share == 0)
    subprocess.run(str(said.value).rpartition("command after: ")[2], shell=True, check=True)
    run_command("train", world.settings(out, **SETTINGS))
    require_same(world.whole, out)
    for path in (best, last):
        path.write_bytes(b"")
    with pytest.raises(RunError, match=r"(?s)last.ckpt is damaged.*it is empty.*overwrite=true discards the run"):
        run_command("train", world.settings(out, **SETTINGS))


def test_a_run_without_its_last_checkpoint_goes_on_from_the_best(world, out, capsys):
    (out / "checkpoints" / "last.ckpt").unlink()
    run_command("train", world.settings(out, resume="true", **SETTINGS))
    assert f"going on from {out}/checkpoints/best.ckpt" in capsys.readouterr().out.replace("\n", "")
    require_same(world.whole, out)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_best_checkpoint_that_is_lost_is_told_and_replaced(world, tmp_path, capsys, harm):
    out = Path(shutil.copytree(world.still, tmp_path / "run"))
    best = out / "checkpoints" / "best.ckpt"
    harm(best)
    run_command("train", world.settings(out, **STILL))
    said = " ".join(capsys.readouterr().out.split())
    assert "best.ckpt is missing or damaged" in said
    assert read_checkpoint(best)["epoch"] == 2
    best.write_bytes(b"")
    with pytest.raises(RunError, match=r"(?s)run is trained, but .*best.ckpt is damaged.*use it with checkpoint=last"):
        run_command("train", world.settings(out, **STILL))


def test_a_run_keeps_to_the_precision_that_it_chose(world, out, monkeypatch):
    """On a machine that would choose another."""
    chosen = about(read_checkpoint(out / "checkpoints" / "last.ckpt"))["decided"]["precision"]
    monkeypatch.setattr(train, "multiplies_bfloat16", lambda device: chosen == "32-true")
    run_command("train", world.settings(out, **SETTINGS))
    require_same(world.whole, out)


def test_a_run_goes_on_with_latents_elsewhere_as_it_would_have(world, out, monkeypatch, capsys):
    monkeypatch.setattr(residence, "available_memory", lambda: 1000)
    run_command("train", world.settings(out, **SETTINGS))
    assert "latents_on=mapped" in capsys.readouterr().out
    require_same(world.whole, out)


def test_a_run_of_before_goes_on(world, out):
    """Checkpoints held where latents lived and where was computed, by the names of then, and no decisions."""
    last = out / "checkpoints" / "last.ckpt"
    checkpoint = read_checkpoint(last)
    about(checkpoint).pop("decided")
    about(checkpoint)["config"] |= {"latents_on": "auto", "accelerator": "cpu", "devices": "1", "num_nodes": 1}
    torch.save(checkpoint, last)
    run_command("train", world.settings(out, **SETTINGS))
    require_same(out, world.whole)
    assert weights(world.whole, "best").keys() - weights(out, "best").keys() == {"model.rotation"}, "not turned, either"


def test_metrics_are_whole_however_the_run_was_broken_off(world, out):
    path = out / "metrics.csv"
    names = path.read_text().splitlines()[0].split(",")
    again = ",".join("2" if name == "epoch" else "9" for name in names)
    path.write_text(f"{path.read_text()}{again}\n1,5")  # of an epoch that is done again, and half a line
    run_command("train", world.settings(out, **SETTINGS))
    assert path.read_text() == (world.whole / "metrics.csv").read_text()


@pytest.mark.parametrize("rate", [1e30, 1e300])
def test_training_that_goes_astray_ends_with_a_sentence_and_saves_nothing_of_it(world, tmp_path, rate):
    with pytest.raises(RunError, match=r"NaN or infinite .*of epoch 0.* Give a lower optim.lr \(it is 1e\+30"):
        run_command("train", world.settings(tmp_path / "run", optim__lr=rate, optim__warmup_steps=0))
    assert contents(tmp_path / "run") == {}


def test_earlier_epochs_stay_where_training_goes_astray(world, out, monkeypatch):
    before = contents(out)

    def spoil(self, batch, batch_idx):
        if batch_idx == 4:
            with torch.no_grad():
                next(self.parameters()).fill_(torch.nan)

    monkeypatch.setattr(FusionModule, "on_train_batch_start", spoil)
    with pytest.raises(RunError, match="the loss is NaN or infinite since step 4 of epoch 2"):
        run_command("train", world.settings(out, **SETTINGS))
    assert contents(out) == before
