import re
import shutil
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from latent_samples import learnable_set
from training import arguments, recalls, weights

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.checkpoints import about, read_checkpoint, trained_model

HANGING = """
import pathlib, sys, time
from fusemix.cli.called import run_command
from fusemix.fusion.module import FusionModule

step = FusionModule.training_step
def hanging(self, batch, batch_idx):
    if (self.current_epoch, batch_idx) == (2, 2):
        pathlib.Path({file!r}).touch()
        time.sleep(600)
    return step(self, batch, batch_idx)
FusionModule.training_step = hanging
run_command("train", sys.argv[1:])
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Of a run in some folder, as arguments; all runs have the same sets."""
    return partial(arguments, partial(learnable_set, tmp_path_factory.mktemp("sets")))


@pytest.fixture(scope="module")
def short(settings, tmp_path_factory) -> Path:
    """A run of one epoch; whoever changes it copies it first."""
    out = tmp_path_factory.mktemp("short") / "run"
    run_command("train", settings(out, optim__max_epochs=1))
    return out


@pytest.fixture
def copied(short, tmp_path) -> Path:
    return Path(shutil.copytree(short, tmp_path / "run"))


def test_training_learns_and_leaves_a_complete_run_folder(make_set, tmp_path):
    out = tmp_path / "run"
    best = run_command("train", arguments(make_set, out, optim__max_epochs=6, optim__lr=0.02))
    assert best == out / "checkpoints" / "best.ckpt"
    assert {"config.yaml", "environment.json", "metrics.csv", "tensorboard", "checkpoints"} <= {
        p.name for p in out.iterdir()
    }
    found = recalls(out)
    assert len(found) == 6
    assert found[-1] > 0.6
    assert found[-1] > 1.5 * found[0]
    checkpoint = read_checkpoint(best)
    assert max(found) == pytest.approx(found[checkpoint["epoch"]], abs=1e-6)


def test_a_checkpoint_holds_all_that_is_needed_to_use_it(short):
    best = read_checkpoint(short / "checkpoints" / "best.ckpt")
    record = about(best)
    assert record["dims"] == {"image": [12], "text": [8]}
    assert record["encoders"]["image"][0]["encoder"] == {"family": "eyes"}
    assert record["train"]["name"] == "made_up/train"
    model = trained_model(best)
    assert not model.training
    assert model.embed("text", torch.randn(3, 8)).shape == (3, 8)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(short, settings, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        run_command("train", settings(tmp_path / name, optim__max_epochs=1, seed=seed))
    first, same, other = (weights(run) for run in (short, tmp_path / "same", tmp_path / "other"))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_a_killed_run_goes_on_to_the_end_it_would_have_reached(make_set, tmp_path, programs):
    """Killed within an epoch, while a step of it hangs."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    epochs = {
        "optim__max_epochs": 4,
        "mixup__name": "per_pair",
        "preprocess": "[standardise]",
        "closed_form__share": 0.3,
    }
    run_command("train", arguments(make_set, whole, **epochs))
    hangs = tmp_path / "hangs"
    process = programs.start("-c", HANGING.format(file=str(hangs)), *arguments(make_set, killed, **epochs))
    deadline = time.monotonic() + 100
    while not hangs.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert read_checkpoint(killed / "checkpoints" / "last.ckpt")["epoch"] < 2
    run_command("train", arguments(make_set, killed, resume="true", **epochs))
    for name in ("last", "best"):
        one, other = weights(whole, name), weights(killed, name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    epochs_logged = {row.split(",")[0] for row in (killed / "metrics.csv").read_text().splitlines()[1:]}
    assert epochs_logged == {str(epoch) for epoch in range(4)}


def test_a_finished_run_is_not_trained_again(settings, copied, capsys):
    before = (copied / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    run_command("train", settings(copied, optim__max_epochs=1))
    assert (copied / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before
    assert "is trained already" in capsys.readouterr().out
    run_command("train", settings(copied, optim__max_epochs=1, overwrite="true"))
    assert (copied / "checkpoints" / "last.ckpt").stat().st_mtime_ns > before


def test_another_run_in_the_way_is_refused_field_by_field(settings, copied, make_set):
    with pytest.raises(RunError, match=r"(?s)differs.*\n  config.optim.lr: on disk 0.001, now 0.5\n.*overwrite=true"):
        run_command("train", settings(copied, optim__max_epochs=1, optim__lr=0.5))
    changed = settings(copied, optim__max_epochs=1, train=make_set("other", seed=5, num_left=100))
    with pytest.raises(RunError, match=r"train.num_links: on disk 256, now 200"):
        run_command("train", changed)


@pytest.mark.parametrize("wrong", [{"compute": "abacus"}, {"precision": "7-true"}])
def test_an_accelerator_or_precision_that_cannot_be_had_is_named(make_set, tmp_path, wrong):
    with pytest.raises(
        ConfigError, match=r"compute.accelerator=.*, precision=.* cannot be used here: .*fusemix doctor"
    ):
        run_command("train", arguments(make_set, tmp_path / "run", **wrong))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [{"compute": "abacus"}, {"adapter.options": "{droput: 0.1}"}])
def test_a_mistake_in_the_settings_does_not_cost_the_run_that_was_to_be_overwritten(settings, copied, wrong):
    with pytest.raises(ConfigError):
        run_command("train", settings(copied, overwrite="true", **wrong))
    assert (copied / "checkpoints" / "best.ckpt").is_file()


def test_resuming_nothing_is_an_error(make_set, tmp_path):
    with pytest.raises(RunError, match="resume=true, but .*last.ckpt does not exist"):
        run_command("train", arguments(make_set, tmp_path / "run", resume="true"))


def test_missing_damaged_and_foreign_checkpoints_are_named(tmp_path):
    with pytest.raises(RunError, match=r"there is no checkpoint .*best.ckpt. Train first"):
        read_checkpoint(tmp_path / "best.ckpt")
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match=r"there is no checkpoint .*best.ckpt. There are: last.ckpt"):
        read_checkpoint(tmp_path / "best.ckpt")
    with pytest.raises(RunError, match="is damaged, or no checkpoint of fusemix"):
        read_checkpoint(tmp_path / "last.ckpt")
    torch.save({"hyper_parameters": {"fusemix": {"widths": {"image": 4}}}}, tmp_path / "old.ckpt")
    with pytest.raises(RunError, match=r"old.ckpt is of version 1, and this fusemix reads version 2. Train again"):
        read_checkpoint(tmp_path / "old.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(RunError, match="is damaged, or no checkpoint of fusemix"):
        read_checkpoint(tmp_path / "foreign.ckpt")


def test_sets_that_different_encoders_made_are_not_mixed_up(make_set, tmp_path):
    validation = make_set("others", num_left=40)
    manifest = validation / "image" / "eyes" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"family": "eyes"', '"family": "ears"'))
    with pytest.raises(
        RunError, match=r"(?s)others: its image latents were not made like.*family: on disk 'ears', now 'eyes'"
    ):
        run_command("train", arguments(make_set, tmp_path / "run", validation=validation))


def test_a_run_that_stops_early_is_finished(make_set, tmp_path, capsys):
    out = tmp_path / "run"
    stopping = {"optim__patience": 2, "optim__max_epochs": 200, "optim__lr": 1e-12, "optim__min_lr": 1e-13}
    run_command("train", arguments(make_set, out, **stopping))
    reached = read_checkpoint(out / "checkpoints" / "last.ckpt")["epoch"]
    found = recalls(out)
    assert reached + 1 == len(found) < 20
    assert max(found[-2:]) <= max(found[:-2])
    run_command("train", arguments(make_set, out, **stopping))
    assert "is trained already" in capsys.readouterr().out


def test_validation_can_be_rarer_than_epochs(make_set, tmp_path, capsys):
    best = run_command("train", arguments(make_set, tmp_path / "run", optim__max_epochs=5, optim__validate_every=2))
    assert len(recalls(tmp_path / "run")) == 2
    assert re.search(r"best validation/mean_recall 0\.\d+ after epoch [24] of 5", capsys.readouterr().out)
    assert read_checkpoint(best)["epoch"] in (1, 3, 4), "the last one may be kept in place of the best"


def test_training_without_mixup_loads_as_many_pairs_as_the_loss_sees(make_set, tmp_path, capsys):
    run_command(
        "train", arguments(make_set, tmp_path / "run", mixup__name="none", optim__batch_size=128, optim__max_epochs=1)
    )
    assert re.search("128 pairs .* 127 negatives", capsys.readouterr().out)


def test_several_captions_of_a_picture_can_be_positives_at_once(make_set, tmp_path, capsys):
    several = {"links_per_item": 2, "loss__name": "sigmoid", "temperature": 0.05, "mixup__name": "per_pair"}
    run_command("train", arguments(make_set, tmp_path / "run", optim__max_epochs=8, optim__lr=0.06, **several))
    assert re.search(r"16 pairs .* from 32: 30 negatives", capsys.readouterr().out)
    found = recalls(tmp_path / "run")
    assert found[-1] > 0.5
    assert found[-1] > 1.5 * found[0]
    assert float(weights(tmp_path / "run")["loss.bias"]) != -10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty."),
        (b"no checkpoint at all", "it is cut off, or of another kind."),
        (b"PK\x03\x04 and no more", "it is cut off, or of another kind."),
        ([1], "it does not hold what a run saves ("),
        ({"hyper_parameters": {"fusemix": {"version": 2}}, "state_dict": {}, "epoch": None}, "epoch is no number"),
    ],
    ids=["empty", "text", "zip", "list", "epoch"],
)
def test_what_is_no_checkpoint_is_said_in_one_line_without_unsafe_advice(content, reason, tmp_path):
    path = tmp_path / "best.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(RunError, match="is damaged, or no checkpoint of fusemix") as caught:
        read_checkpoint(path)
    assert reason in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
