import pytest
import torch

from fusemix.errors import ConfigError
from fusemix.fusion.model import FusionModel
from fusemix.fusion.schedule import LearningRate, Schedule, parameter_groups


def small_model(**changes: object) -> FusionModel:
    settings = {
        "dims": {"image": [6], "text": [4]},
        "embedding_dim": 3,
        "temperature": 0.07,
        **changes,
    }
    chosen = ("residual_mlp", settings.pop("options", {"num_blocks": 1, "dropout": 0.0}))
    return FusionModel(adapters={"image": chosen, "text": chosen}, **settings)


def test_embeddings_have_unit_length_whatever_the_dtype_of_latents():
    model = small_model()
    latents = torch.randn(7, 6)
    full, half = model.embed("image", latents), model.embed("image", latents.half().float().half())
    torch.testing.assert_close(full.norm(dim=1), torch.ones(7))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=5e-3, rtol=0)


def test_each_modality_has_an_adapter_of_its_own_size():
    assert small_model(options={"num_blocks": 0}).num_parameters() == {
        "image": 2 * 6 + 6 * 3 + 3,
        "text": 2 * 4 + 4 * 3 + 3,
    }


def test_the_temperature_starts_where_it_should_and_stays_in_its_bounds():
    model = small_model(temperature=0.05)
    assert float(1 / model.logit_scale.detach()) == pytest.approx(0.05)
    for value, bound in ((100.0, 0.001), (-100.0, 0.5)):
        model.log_logit_scale.data.fill_(value)
        model.clamp_temperature()
        assert float(1 / model.logit_scale.detach()) == pytest.approx(bound)


def test_options_of_an_adapter_are_checked():
    with pytest.raises(ConfigError, match=r"adapter 'residual_mlp': it has no option 'droput'. Did you mean 'dropout'"):
        small_model(options={"droput": 0.1})


def test_only_matrices_decay():
    model = small_model()
    decayed, spared = parameter_groups(model, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert all(p.ndim == 2 for p in decayed["params"])
    assert any(p is model.log_logit_scale for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_the_learning_rate_warms_up_in_a_line_and_falls_in_half_a_cosine():
    rate = LearningRate(Schedule(lr=1.0, min_lr=0.1, weight_decay=0.0, warmup_steps=10, total_steps=110))
    assert [rate(step) for step in (0, 5, 10, 60, 110)] == pytest.approx([0.1, 0.55, 1.0, 0.55, 0.1])
    assert rate(500) == pytest.approx(0.1)


def test_a_warm_up_longer_than_the_run_is_cut_to_half_of_it():
    rate = LearningRate(Schedule(lr=1.0, min_lr=0.0, weight_decay=0.0, warmup_steps=100, total_steps=20))
    assert rate(10) == pytest.approx(1.0)
    assert rate(20) == pytest.approx(0.0)


OWN_PARTS = """
from torch import nn
def nothing(input_dim, output_dim): return None
def as_it_is(input_dim, output_dim): return nn.Identity()
def wide(input_dim, output_dim): return nn.Linear(input_dim, output_dim + 1)
def narrow(input_dim, output_dim): return nn.Linear(input_dim - 1, output_dim)
def right(input_dim, output_dim): return nn.Sequential(nn.BatchNorm1d(input_dim), nn.Linear(input_dim, output_dim))
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "gave NoneType, where a module with parameters is due"),
        ("as_it_is", "gave Identity, where a module with parameters is due"),
        ("wide", r"makes \(2, 9\) of \(2, 5\), where \(2, 8\) is due"),
        ("narrow", r"cannot map \(2, 5\): "),
    ],
)
def test_an_adapter_of_ones_own_is_tried_before_it_is_trained(name, message, tmp_path, monkeypatch):
    """One without parameters used to train nothing, in silence."""
    (tmp_path / "own_adapters.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"adapter 'own_adapters:{name}' {message}"):
        FusionModel(dims={"image": [5]}, embedding_dim=8, adapters={"image": (f"own_adapters:{name}", {})})


def test_trying_an_adapter_of_ones_own_leaves_it_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "own_adapters.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    model = FusionModel(dims={"image": [5]}, embedding_dim=8, adapters={"image": ("own_adapters:right", {})})
    assert model.adapters["image"].training
    assert model.adapters["image"][0].num_batches_tracked == 0
