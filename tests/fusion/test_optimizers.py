"""Optimisers by name, gradients that are clipped, and float32 that is float32."""

from dataclasses import replace

import pytest
import torch
from training import arguments, weights

from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.config import PartConfig, TrainConfig
from fusemix.errors import ConfigError
from fusemix.fusion.optimizers import OPTIMIZERS
from fusemix.fusion.runs import RunState
from fusemix.machine.environment import multiply_float32
from fusemix.wiring.training import train


def stepped(name, options, gradients, decay):
    """A weight of ones after steps along given gradients."""
    weight = torch.nn.Parameter(torch.ones(3))
    groups = [{"params": [weight], "weight_decay": decay}]
    optimizer = OPTIMIZERS.build(name, options, params=groups, lr=0.1)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def adamw_by_hand(gradients, beta1, beta2, eps, decay):
    weight, mean, square = (torch.ones(3, dtype=torch.float64) * x for x in (1, 0, 0))
    for step, gradient in enumerate(gradients, start=1):
        mean, square = beta1 * mean + (1 - beta1) * gradient, beta2 * square + (1 - beta2) * gradient**2
        found = (mean / (1 - beta1**step)) / ((square / (1 - beta2**step)).sqrt() + eps)
        weight = weight - 0.1 * (found + decay * weight)
    return weight.float()


def lion_by_hand(gradients, beta1, beta2, decay):
    weight, mean = torch.ones(3), torch.zeros(3)
    for gradient in gradients:
        weight = weight - 0.1 * ((beta1 * mean + (1 - beta1) * gradient).sign() + decay * weight)
        mean = beta2 * mean + (1 - beta2) * gradient
    return weight


@pytest.mark.parametrize(
    ("name", "options", "by_hand"),
    [
        ("adamw", {"betas": [0.8, 0.95], "eps": 0.5}, lambda g: adamw_by_hand(g, 0.8, 0.95, 0.5, 0.2)),
        ("adamw", {}, lambda g: adamw_by_hand(g, 0.9, 0.999, 1e-8, 0.2)),
        ("lion", {"betas": [0.7, 0.9]}, lambda g: lion_by_hand(g, 0.7, 0.9, 0.2)),
        ("lion", {}, lambda g: lion_by_hand(g, 0.9, 0.99, 0.2)),
    ],
)
def test_an_optimiser_takes_the_steps_of_its_paper(name, options, by_hand):
    gradients = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(stepped(name, options, gradients, 0.2), by_hand(gradients))


def test_a_run_is_trained_by_the_optimiser_that_is_named(make_set, tmp_path):
    lion = {"optimizer__name": "lion", "optim__lr": 1e-3, "optim__weight_decay": 0, "optim__warmup_steps": 0}
    once = {**lion, "optim__batch_size": 64, "optim__min_lr": 1e-3, "optim__max_epochs": 1}
    run_command("train", arguments(make_set, tmp_path / "run", **once))
    run_command("train", arguments(make_set, tmp_path / "still", **{**once, "optim__lr": 1e-9, "optim__min_lr": 1e-9}))
    after, before = weights(tmp_path / "run"), weights(tmp_path / "still")
    key = "model.adapters.image.2.weight"
    steps = {round(float(x) / 1e-3) for x in (after[key] - before[key]).abs().flatten()}
    assert steps <= {0, 2}, "two steps of one length, forth and forth or forth and back, however long the gradient"
    assert 2 in steps


def test_gradients_are_shortened_to_the_norm_that_is_given(make_set, tmp_path, monkeypatch):
    seen = []
    step = torch.optim.AdamW.step

    def noted(self, *args, **kwargs):
        done = step(self, *args, **kwargs)
        grads = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        seen.append(float(torch.cat(grads).norm()))
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    run_command("train", arguments(make_set, tmp_path / "free", optim__max_epochs=1))
    free = list(seen)
    seen.clear()
    run_command("train", arguments(make_set, tmp_path / "run", optim__max_epochs=1, optim__clip_norm=min(free) / 2))
    assert max(seen) <= min(free) / 2 * (1 + 1e-5)
    assert max(seen) > min(free) / 2 * 0.999


def list_of(params, lr):
    return list(params)


def test_an_optimiser_of_ones_own_that_is_none_is_refused():
    config = load_config(TrainConfig, ["train=a", "holdout=0.1", "encoders={image: [x], text: [y]}", "out=o"])
    with pytest.raises(
        ConfigError, match="optimizer 'test_optimizers:list_of' gave list, where a torch.optim.Optimizer is due"
    ):
        train.optimizer_of(replace(config, optimizer=PartConfig(name="test_optimizers:list_of")), [], 0.1)


@pytest.mark.parametrize(("precision", "kept"), [("32-true", "highest"), ("bf16-mixed", "high"), ("auto", "high")])
def test_float32_is_multiplied_as_float32_where_that_is_asked_for(precision, kept, monkeypatch):
    monkeypatch.setattr(train, "multiplies_bfloat16", lambda device: True)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    config = load_config(
        TrainConfig, ["train=a", "holdout=0.1", "encoders={image: [x], text: [y]}", "out=o", f"precision={precision}"]
    )
    try:
        multiply_float32(exactly=precision != "32-true")  # what another run in this process may have left
        train.precision_of(config, torch.device("cuda"), RunState())
        assert torch.get_float32_matmul_precision() == kept
        assert torch.backends.cudnn.allow_tf32 == (kept == "high")
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
