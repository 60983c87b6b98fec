"""Every number that training can be given: in its range, or refused by its name before anything starts."""

import dataclasses
from typing import get_args, get_type_hints

import pytest
import torch

from fusemix.cli.loading import load_config
from fusemix.config import TrainConfig
from fusemix.errors import ConfigError
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.mixup import MIXUPS
from fusemix.fusion.optimizers import OPTIMIZERS

TRAIN = ["train=a", "validation=b", "encoders={image: [x], text: [y]}", "also.more.train=c", "out=o"]
ODD = ("0", "-1", ".nan", ".inf", "-.inf", "1e300", str(10**30))
TAKEN = {
    "links_per_item": set(),
    "temperature": set(),
    "embedding_dim": set(),
    "compute.num_nodes": set(),
    "seed": {"0"},
    "holdout": {"0"},
    "also.more.holdout": {"0"},
    "also.more.weight": set(),
    "also.more.batch_size": set(),
    "structure.weight": {"0"},
    "structure.temperature": set(),
    "structure.warmup_steps": {"0"},
    "regression.weight": {"0"},
    "closed_form.share": {"0"},
    "closed_form.left_ridge": {"0"},
    "closed_form.right_ridge": {"0"},
    "closed_form.power": {"0"},
    "optim.lr": {"1e300", str(10**30)},  # training says where it goes astray
    "optim.min_lr": {"0"},
    "optim.weight_decay": {"0"},
    "optim.warmup_steps": {"0"},
    "optim.batch_size": set(),
    "optim.max_epochs": set(),
    "optim.validate_every": set(),
    "optim.patience": set(),
    "optim.clip_norm": {"1e300", str(10**30)},
    "optim.auto.batch_size": set(),
    "optim.auto.epochs": set(),
    "optim.auto.steps": set(),
    "optim.auto.validations": set(),
    "wait_sec": {"0"},
}
"""Numeric setting -> the odd values that it takes."""


def numeric(schema: type, prefix: str = "") -> list[str]:
    found = []
    for name, kind in get_type_hints(schema).items():
        inner = [kind, *get_args(kind)]
        if dataclasses.is_dataclass(kind):
            found += numeric(kind, f"{prefix}{name}.")
        elif any(dataclasses.is_dataclass(one) for one in inner):
            entry = next(one for one in inner if dataclasses.is_dataclass(one))
            found += numeric(entry, f"{prefix}{name}.more.") if name == "also" else []
        elif {int, float} & set(inner):
            found.append(prefix + name)
    return found


def test_the_table_below_names_every_numeric_setting():
    assert set(numeric(TrainConfig)) == set(TAKEN)


@pytest.mark.parametrize("setting", TAKEN)
def test_an_odd_number_is_taken_or_refused_by_the_name_of_its_setting(setting):
    for value in ODD:
        words = [*TRAIN, f"{setting}={value}"]
        if setting == "holdout" and value != "0":
            words.append("validation=null")
        if value in TAKEN[setting]:
            load_config(TrainConfig, words)
            continue
        with pytest.raises(ConfigError) as refused:
            load_config(TrainConfig, words)
        assert str(refused.value).startswith(setting), f"{setting}={value}"
        assert len(str(refused.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["optim.lr=0"], "optim.lr is 0.0, but must be above 0"),
        (["optim.lr=.nan"], "optim.lr is nan, but must be above 0"),
        (["optim.lr=1e-4", "optim.min_lr=1e-3"], "optim.min_lr is 0.001, but must lie between 0.0 and 0.0001"),
        (["optim.weight_decay=-1"], "optim.weight_decay is -1.0, but must lie between 0.0 and 1000000.0"),
        (["optim.warmup_steps=-5"], "optim.warmup_steps is -5, but must lie between 0 and 1000000000"),
        (["optim.patience=0"], "optim.patience is 0, but must lie between 1 and 1000000000"),
        (["links_per_item=0"], "links_per_item is 0, but must lie between 1 and 1000000000"),
        (["closed_form.left_ridge=-1"], "closed_form.left_ridge is -1.0, but must lie between 0.0 and 1000000.0"),
        (["seed=-1"], "seed is -1, but must lie between 0 and"),
    ],
)
def test_what_used_to_be_accepted_or_to_crash_is_said(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_config(TrainConfig, [*TRAIN, *settings])


@pytest.mark.parametrize(
    ("registry", "name", "options", "message"),
    [
        (ADAPTERS, "residual_mlp", {"num_blocks": -1}, "adapter.options.num_blocks is -1, but must lie between 0 and"),
        (ADAPTERS, "residual_mlp", {"num_blocks": 10**9}, "adapter.options.num_blocks is 1000000000"),
        (ADAPTERS, "residual_mlp", {"expansion": 0}, "adapter.options.expansion is 0"),
        (ADAPTERS, "residual_mlp", {"dropout": float("nan")}, "adapter.options.dropout is nan"),
        (ADAPTERS, "bottleneck", {"hidden_dim": -1}, "adapter.options.hidden_dim is -1"),
        (ADAPTERS, "bottleneck", {"hidden_dim": 10**30}, "adapter.options.hidden_dim is 1000"),
        (ADAPTERS, "bottleneck", {"input_dropout": 1.0}, "adapter.options.input_dropout is 1.0"),
        (ADAPTERS, "gated", {"expansion": -2}, "adapter.options.expansion is -2"),
        (ADAPTERS, "linear", {"input_dropout": -0.5}, "adapter.options.input_dropout is -0.5"),
        (ADAPTERS, "low_rank_residual", {"rank": 0}, "adapter.options.rank is 0"),
        (LOSSES, "info_nce", {"label_smoothing": 1}, "loss.options.label_smoothing is 1.0"),
        (LOSSES, "sigmoid", {"bias": float("inf")}, "loss.options.bias is inf"),
        (OPTIMIZERS, "adamw", {"eps": 0}, "optimizer.options.eps is 0.0, but must lie between 1e-30 and 1.0"),
        (
            OPTIMIZERS,
            "adamw",
            {"betas": [0.9, 1.0]},
            "optimizer.options.betas is 1.0, but must be at least 0 and below 1",
        ),
        (OPTIMIZERS, "lion", {"betas": [0.9]}, "optimizer.options.betas holds 1 numbers, but must hold two"),
        (MIXUPS, "per_batch", {"alpha": 0}, "mixup.options.alpha is 0.0, but must be above 0"),
        (MIXUPS, "per_pair", {"alpha": float("nan")}, "mixup.options.alpha is nan"),
        (MIXUPS, "one_sided", {"alpha": -1}, "mixup.options.alpha is -1.0"),
        (MIXUPS, "noise", {"std": -1}, "mixup.options.std is -1.0"),
        (MIXUPS, "noise", {"std": float("inf")}, "mixup.options.std is inf"),
    ],
)
def test_an_option_out_of_its_range_is_refused_by_its_name(registry, name, options, message):
    weights = [torch.nn.Parameter(torch.zeros(2))]
    given = {"adapter": {"input_dim": 4, "output_dim": 2}, "optimizer": {"params": weights, "lr": 0.1}}
    with pytest.raises(ConfigError, match=message):
        registry.build(name, options, **given.get(registry.kind, {}))


def test_a_whole_number_will_do_where_a_decimal_one_is_wanted():
    loss = LOSSES.build("sigmoid", {"bias": -10})
    assert loss.bias.dtype == torch.float32
    assert loss.bias.item() == -10
