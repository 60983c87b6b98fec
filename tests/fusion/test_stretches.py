"""A large batch in stretches, with and without computing them a second time."""

import warnings

import numpy as np
import pytest
import torch
from training import arguments, weights

from fusemix.cli.called import run_command
from fusemix.fusion import stretches
from fusemix.fusion.adapters import ADAPTERS, KEEP_WIDTH
from fusemix.fusion.losses import tiles
from fusemix.fusion.losses.info_nce import InfoNCE
from fusemix.fusion.mixup import MIXUPS
from fusemix.fusion.model import FusionModel
from fusemix.fusion.module import FusionModule, Pairing, Structure
from fusemix.fusion.optimizers.adamw import adamw
from fusemix.fusion.preprocessing import Preprocessing
from fusemix.fusion.schedule import Schedule
from fusemix.fusion.step_memory import SideOfStep, StepSizes, held_by, step_bytes
from fusemix.interfaces import LatentBatch, TrainBatch
from fusemix.latents import residence

WIDTHS = {"image": 12, "text": 9}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(stretches, "ROWS", 8)


def model_of(name: str = "residual_mlp", widths=WIDTHS, embedding_dim: int = 4, **options: object) -> FusionModel:
    torch.manual_seed(0)
    adapters = dict.fromkeys(widths, (name, options))
    return FusionModel(dims={m: [w] for m, w in widths.items()}, embedding_dim=embedding_dim, adapters=adapters)


def step_of(model: FusionModel, batch: LatentBatch, *, structure: float = 0.0, mixup: str = "per_batch", dtype=None):
    """One training step as Lightning takes it: the loss, and the gradient of every weight."""
    module = FusionModule(
        model=model,
        loss=InfoNCE(),
        pairings=[Pairing("", ("image", "text"), None)],
        augmentation=MIXUPS.build(mixup, {}),
        structure=Structure(structure, 0.05, 0),
        optimizer=adamw,
        schedule=Schedule(1e-3, 1e-6, 0.1, 0, 10),
        seed=0,
        checkpoint={},
    )
    module.zero_grad()
    module._mixing = np.random.default_rng(0)
    module._astray = torch.tensor(2**62)
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*self.trainer. reference is not registered.*")
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss = module.training_step(TrainBatch(0, batch), 0)
        loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in model.parameters())]


def batch_of(rows: int, positives: int = 1, widths=WIDTHS, dtype=torch.float32) -> LatentBatch:
    generator = torch.Generator().manual_seed(rows)
    left, right = (
        torch.randn(count, width, generator=generator, dtype=dtype)
        for count, width in zip((rows, rows * positives), widths.values(), strict=True)
    )
    return LatentBatch(left, right)


DROPS = {
    "residual_mlp": {"num_blocks": 2, "dropout": 0.5},
    "bottleneck": {"hidden_dim": 4, "dropout": 0.5, "input_dropout": 0.2},
    "gated": {"dropout": 0.5},
    "linear": {"input_dropout": 0.5},
    "low_rank_residual": {"rank": 2, "dropout": 0.5, "input_dropout": 0.2},
    "identity": {},
    "aligned_residual": {"hidden_dim": 4, "dropout": 0.5, "input_dropout": 0.2},
}


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("name", ADAPTERS.names())
def test_what_is_computed_a_second_time_gives_the_same_gradient_bit_by_bit(name, dtype):
    widths, shared = ({"image": 12, "text": 12}, 12) if name in KEEP_WIDTH else (WIDTHS, 4)
    model, batch = model_of(name, widths, shared, **DROPS[name]), batch_of(2 * 40, widths=widths)
    for gate in (weight for key, weight in model.named_parameters() if key.endswith("gate")):
        gate.data.fill_(0.5)  # shut, nothing behind it has a gradient
    how = {"structure": 1.0, "mixup": "per_pair", "dtype": dtype}
    held = step_of(model, batch, **how)
    model.recompute = True
    again = step_of(model, batch, **how)
    assert all(map(torch.equal, again, held))
    assert all(gradient.any() for gradient in held[1:])


@pytest.mark.parametrize("positives", [1, 2])
def test_stretches_give_the_gradient_of_the_whole_batch(positives, monkeypatch):
    model, batch = model_of(num_blocks=2, dropout=0.0).double(), batch_of(2 * 37, positives, dtype=torch.float64)
    model.recompute = True
    cut = step_of(model, batch, structure=1.0)
    monkeypatch.setattr(stretches, "ROWS", 1000)
    model.recompute = False
    whole = step_of(model, batch, structure=1.0)
    for one, other in zip(cut, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_gradients_of_stretches_are_not_added_up_in_half_precision(monkeypatch):
    """Autocast's copies of the weights, shared by all stretches, would have their gradients rounded with each."""
    exact = step_of(model_of(dropout=0.0).double(), batch_of(2 * 256, dtype=torch.float64))
    model, batch, errors = model_of(dropout=0.0), batch_of(2 * 256), []
    for rows in (1000, 8):
        monkeypatch.setattr(stretches, "ROWS", rows)
        found = step_of(model, batch, dtype=torch.bfloat16)
        errors.append(sum(float((f - e).square().sum()) for f, e in zip(found[1:], exact[1:], strict=True)) ** 0.5)
    assert errors[1] < 1.5 * errors[0]


def test_a_batch_that_fits_into_one_stretch_goes_through_its_adapter_at_once():
    model, seen = model_of(dropout=0.0), []
    model.adapters["image"].register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    for rows in (8, 9, 40):
        seen.clear()
        model.adapt("image", torch.randn(rows, 12))
        assert seen == {8: [8], 9: [5, 4], 40: [5] * 8}[rows]
    seen.clear()
    model.eval().embed("image", torch.randn(40, 12))
    assert seen == [40]


OWN = """
from torch import nn
def normed(input_dim, output_dim): return nn.Sequential(nn.BatchNorm1d(input_dim), nn.Linear(input_dim, output_dim))
"""


def test_an_adapter_of_ones_own_sees_the_whole_batch_and_once(tmp_path, monkeypatch):
    (tmp_path / "own_whole.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    model, rows = model_of("own_whole:normed"), torch.randn(40, 12)
    model.recompute = True
    held_by(model.adapters["image"], 12, CPU, None)  # tried without a trace
    out = model.adapt("image", rows)
    out.sum().backward()
    norm = model.adapters["image"][0]
    assert norm.num_batches_tracked == 1
    torch.testing.assert_close(norm.running_mean, 0.1 * rows.mean(dim=0))


@pytest.mark.parametrize("steps", [["l2"], ["standardise", "whiten"]])
def test_latents_are_prepared_in_stretches_as_they_are_whole(steps):
    preprocessing, latents = Preprocessing(steps, [4, 5]), torch.randn(37, 9)
    preprocessing.fit(lambda: [latents])
    torch.testing.assert_close(preprocessing.train()(latents), preprocessing.eval()(latents))


CASES = {
    "bfloat16": {"dtype": torch.bfloat16},
    "positives and structure": {"positives": 2, "structure": 1.0},
    "gated": {"name": "gated", "options": {"expansion": 4, "dropout": 0.1}, "mixup": "none"},
}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_memory_of_a_step_is_about_what_is_counted(case, again, monkeypatch, benchmark_module):
    """Counted tensor by tensor; at sizes where the batch matters, and not the weights."""
    monkeypatch.setattr(stretches, "ROWS", 64)
    monkeypatch.setitem(tiles.TILE, "cpu", 128)
    about = {"name": "residual_mlp", "options": {"num_blocks": 2}, "positives": 1, "structure": 0.0, **CASES[case]}
    mixup, dtype = about.get("mixup", "per_batch"), about.get("dtype")
    widths, rows, parts = {"image": 64, "text": 48}, 384, MIXUPS.build(mixup, {}).parts
    model = model_of(about["name"], widths, 32, **about["options"])
    model.recompute = again
    batch = LatentBatch(*(side.half() for side in batch_of(rows * parts, about["positives"], widths)))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    with benchmark_module("live_memory").LiveMemory() as counted:
        for taken in (LatentBatch(batch.left[:2], batch.right[: 2 * about["positives"]]), batch):
            step_of(model, taken, structure=about["structure"], mixup=mixup, dtype=dtype)
            optimizer.step()  # its means are there from the first step on
    counts = (rows, rows * about["positives"])
    sides = [
        SideOfStep(count, width, held_by(model.adapters[modality], width, CPU, dtype), True)
        for count, (modality, width) in zip(counts, widths.items(), strict=True)
    ]
    sizes = StepSizes(
        sides,
        parts=parts,
        loaded=0,  # the batch was there before
        embedding_dim=32,
        weights=sum(p.numel() for p in model.parameters()),
        structure=about["structure"] > 0,
        tile=128,
    )
    assert 1.0 < step_bytes(sizes, again=again) / counted.peak < 1.6


def test_a_run_that_has_no_room_says_so_and_ends_as_it_would_have(make_set, tmp_path, monkeypatch, capsys):
    for name in ("roomy", "tight"):
        run_command("train", arguments(make_set, tmp_path / name, optim__max_epochs=2, optim__validate_every=2))
        said = " ".join(capsys.readouterr().out.split())
        assert ("activations are computed a second time" in said) == (name == "tight")
        monkeypatch.setattr(residence, "available_memory", lambda: 10_000)
    roomy, tight = weights(tmp_path / "roomy"), weights(tmp_path / "tight")
    assert all(torch.equal(tight[key], value) for key, value in roomy.items())
