"""A trained run is given more epochs: a new schedule, over the weights and the optimiser that it has."""

import io
import shutil
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import pytest
import torch
from latent_samples import learnable_set
from test_going_on import broken_off, require_same
from training import arguments, recalls

from fusemix.cli.called import run_command
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import read_checkpoint
from fusemix.fusion.schedule import LearningRate, Schedule

SHORT = {"optim__max_epochs": 2, "optim__warmup_steps": 2, "optim__lr": 0.01, "optim__min_lr": 1e-5}
MORE = {**SHORT, "optim__max_epochs": 4, "optim__lr": 0.002}
STEPS = 8
"""In an epoch."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("longer")
    settings = partial(arguments, partial(learnable_set, root))
    run_command("train", settings(root / "short", **SHORT))
    shutil.copytree(root / "short", root / "longer")
    with redirect_stdout(io.StringIO()) as printed:
        run_command("train", settings(root / "longer", **MORE))
    return root, settings, " ".join(printed.getvalue().split())


def copy(world, tmp_path: Path, name: str = "short") -> Path:
    return Path(shutil.copytree(world[0] / name, tmp_path / "run"))


def test_rates_begin_anew_and_reach_their_end_at_the_last_step(world):
    rates = recalls(world[0] / "longer", "train/lr")
    old = LearningRate(Schedule(0.01, 1e-5, 0.1, 2, 2 * STEPS))
    new = LearningRate(Schedule(0.002, 1e-5, 0.1, 2, 2 * STEPS))
    expected = [0.01 * old(STEPS * epoch) for epoch in (1, 2)] + [0.002 * new(STEPS * epoch) for epoch in (1, 2)]
    assert rates == pytest.approx(expected, rel=1e-4)


def test_weights_and_optimiser_go_on(world):
    last = read_checkpoint(world[0] / "longer" / "checkpoints" / "last.ckpt")
    assert (last["epoch"], last["global_step"]) == (3, 4 * STEPS)
    steps = {float(state["step"]) for state in last["optimizer_states"][0]["state"].values()}
    assert steps == {4.0 * STEPS}
    assert recalls(world[0] / "longer")[:2] == recalls(world[0] / "short")


def test_the_first_step_is_taken_at_the_new_rate(world, tmp_path):
    """Without a warm-up that is the peak."""
    out = copy(world, tmp_path)
    seen = []

    def step(self, *args, **kwargs):
        seen.append([group["lr"] for group in self.param_groups])
        return stepped(self, *args, **kwargs)

    stepped = torch.optim.AdamW.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        run_command("train", world[1](out, **{**MORE, "optim__warmup_steps": 0}))
    assert seen[0] == [0.002, 0.002]


def test_it_says_what_is_done_and_is_the_same_run_afterwards(world, tmp_path, capsys):
    assert "given more epochs after its 2: with a new schedule, from its weights and its optimiser" in world[2]
    out = copy(world, tmp_path, "longer")
    run_command("train", world[1](out, **MORE))
    assert "is trained already" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"optim.max_epochs: on disk 4, now 2"):
        run_command("train", world[1](out, **SHORT))


def test_killed_it_goes_on_to_the_end_that_it_would_have_reached(world, tmp_path):
    out = copy(world, tmp_path)
    broken_off(world[1](out, **MORE), 3)
    run_command("train", world[1](out, **MORE))
    require_same(out, world[0] / "longer")


def test_a_run_that_stopped_early_goes_on(world, tmp_path):
    still = {**SHORT, "optim__max_epochs": 9, "optim__lr": 1e-12, "optim__min_lr": 1e-13, "optim__patience": 2}
    run_command("train", world[1](tmp_path / "run", **still))
    assert len(recalls(tmp_path / "run")) == 3
    run_command("train", world[1](tmp_path / "run", **{**still, "optim__max_epochs": 10}))
    assert len(recalls(tmp_path / "run")) == 5, "two more validations without a better one"


@pytest.mark.parametrize("change", [{"optim__weight_decay": 0.2}, {"temperature": 0.1}, {"seed": 1}])
def test_with_anything_else_changed_it_is_another_run(world, tmp_path, change):
    out = copy(world, tmp_path)
    with pytest.raises(RunError, match="holds a run that differs from this one"):
        run_command("train", world[1](out, **{**MORE, **change}))


def test_a_run_that_is_not_trained_keeps_its_schedule(world, tmp_path):
    broken_off(world[1](tmp_path / "run", **SHORT), 1)
    with pytest.raises(RunError, match="A run is given more epochs when it is trained: finish it first"):
        run_command("train", world[1](tmp_path / "run", **MORE))
