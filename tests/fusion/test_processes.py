"""One batch shared by several processes gives what one process gives: on a GPU each, over NCCL; here over gloo."""

import re
from pathlib import Path

import pytest
import torch
from sharing import NAMES, ten_steps, validated

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError
from fusemix.fusion.callbacks import differing
from fusemix.fusion.checkpoints import read_checkpoint

ROOT = Path(__file__).parents[2]


PROCESSES = 3
"""A first one, a last one, and one between them."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory, programs) -> list[dict]:
    folder, script = tmp_path_factory.mktemp("shared"), Path(__file__).with_name("sharing.py")
    started = [programs.start(script, rank, PROCESSES, folder) for rank in range(PROCESSES)]
    assert [program.wait(300) for program in started] == [0] * PROCESSES
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_ten_steps_of_processes_that_share_a_batch_are_those_of_one(name, shared):
    alone = ten_steps(name, 0, 1)
    losses = torch.stack([torch.stack(found[name]["losses"]) for found in shared]).mean(dim=0)
    torch.testing.assert_close(losses, torch.stack(alone["losses"]), rtol=1e-10, atol=1e-12)
    for found in shared:
        for part in ("gradients", "weights"):
            torch.testing.assert_close(found[name][part], alone[part], rtol=1e-8, atol=1e-10)


def test_processes_divide_validation_and_all_have_the_figures_of_one(shared):
    """Of 43 and 86 items, which three processes do not share evenly."""
    assert 0 < validated()["mean_recall"] < 1
    assert [found["validated"] for found in shared] == [validated()] * len(shared)


def test_all_processes_stop_where_one_has_to_and_the_first_one_says_why(shared):
    others = [found["stopping"] for found in shared[1:]]
    assert shared[0]["stopping"] == ["RunError", "no room"]
    assert others == [["SystemExit", "0"]] * len(others)


def test_what_processes_differ_in_is_named_with_their_ranks():
    same = {"precision": "32-true", "latents": "ab12"}
    assert differing([same, same, same]) is None
    message = differing([same, {**same, "precision": "bf16-mixed"}, same, {**same, "precision": "bf16-mixed"}])
    assert message is not None
    assert "precision: process 1, 3 has another than process 0 (32-true and bf16-mixed)" in message
    assert "latents:" not in message


def test_processes_end_with_one_message_where_training_goes_astray(make_set, tmp_path, programs):
    out = tmp_path / "run"
    changes = ["compute.devices=2", "optim.lr=1e300", "optim.warmup_steps=0"]
    both = programs.run_together(2, ROOT / "train.py", *settings(make_set, out, *changes))
    assert both[0].returncode == 2, both[0].stderr
    said = "".join(done.stderr for done in both)
    assert said.count("fusemix: ") == 1
    assert "Give a lower optim.lr (it is 1e+300)" in both[0].stderr
    assert "Traceback" not in said
    assert list((out / "checkpoints").iterdir()) == []


def settings(make_set, out: Path, *changes: str) -> list[str]:
    return [
        f"train={make_set('train')}",
        f"validation={make_set('validation', num_left=40, seed=1)}",
        "encoders={image: [eyes], text: [words]}",
        f"out={out}",
        "embedding_dim=8",
        "adapter.options={num_blocks: 1, dropout: 0.0}",
        "optim={batch_size: 12, max_epochs: 2, warmup_steps: 5}",
        "compute.accelerator=cpu",
        "precision=64-true",
        *changes,
    ]


@pytest.mark.parametrize(
    ("mixup", "devices", "are_started"), [("per_batch", 3, True), ("per_pair", 2, False)], ids=["started", "starting"]
)
def test_a_run_on_several_devices_is_the_run_on_one(make_set, tmp_path, programs, mixup, devices, are_started):
    """Where others start the processes, and where the first one starts them."""
    one, several = tmp_path / "one", tmp_path / "several"
    run_command("train", settings(make_set, one, f"mixup.name={mixup}"))
    command = [ROOT / "train.py", *settings(make_set, several, f"mixup.name={mixup}", f"compute.devices={devices}")]
    done = programs.run_together(devices, *command)[0] if are_started else programs.run(*command)
    assert done.returncode == 0, done.stderr
    assert re.search(f"12 pairs .* {devices} processes, .* from 24: 11 negatives", done.stdout)
    for name in ("last", "best"):
        here, there = (read_checkpoint(run / "checkpoints" / f"{name}.ckpt") for run in (one, several))
        assert here["global_step"] == there["global_step"]
        for key, value in here["state_dict"].items():
            torch.testing.assert_close(there["state_dict"][key], value, rtol=1e-6, atol=1e-9)
    logged = [(run / "metrics.csv").read_text().splitlines() for run in (one, several)]
    losses = [
        [float(row.split(",")[lines[0].split(",").index("train/loss")] or 0) for row in lines[1:]] for lines in logged
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(make_set, tmp_path):
    with pytest.raises(ConfigError, match="batch_size=12 pairs cannot be shared by 5 devices. .* such as 10"):
        run_command("train", settings(make_set, tmp_path / "run", "compute.devices=5"))
