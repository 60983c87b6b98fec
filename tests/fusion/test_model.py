import math

import pytest
import torch

from fusemix.errors import ConfigError
from fusemix.fusion.adapters import ADAPTERS, residual_mlp
from fusemix.fusion.model import FusionModel
from fusemix.fusion.module import LearningRate, Schedule, parameter_groups


def small_model(**changes: object) -> FusionModel:
    settings = {
        "widths": {"image": 6, "text": 4},
        "embedding_dim": 3,
        "adapter": "residual_mlp",
        "options": {"num_blocks": 1, "dropout": 0.0},
        "temperature": 0.07,
        **changes,
    }
    return FusionModel(**settings)


@pytest.fixture(params=ADAPTERS.names())
def adapter(request) -> torch.nn.Module:
    return ADAPTERS.build(request.param, {}, input_dim=8, output_dim=3)


def test_an_adapter_maps_rows_on_their_own_to_the_shared_width(adapter):
    adapter.eval()
    rows = torch.randn(5, 8)
    out = adapter(rows)
    assert out.shape == (5, 3)
    torch.testing.assert_close(adapter(rows[2:3]), out[2:3])


def test_the_residual_mlp_agrees_with_its_formula():
    torch.manual_seed(0)
    adapter = residual_mlp(input_dim=5, output_dim=2, num_blocks=2, expansion=3, dropout=0.5).eval()
    first, second, norm, linear = adapter

    def layer_norm(x, m):
        return (x - x.mean(1, keepdim=True)) / (
            x.var(1, unbiased=False, keepdim=True) + m.eps
        ).sqrt() * m.weight + m.bias

    def gelu(x):
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2

    x = torch.randn(4, 5)
    expected = x
    for block in (first, second):
        ln, up, _, _, down = block.branch
        expected = expected + gelu(layer_norm(expected, ln) @ up.weight.T + up.bias) @ down.weight.T + down.bias
    expected = layer_norm(expected, norm) @ linear.weight.T + linear.bias
    torch.testing.assert_close(adapter(x), expected)


def test_the_papers_adapters_have_the_number_of_parameters_that_its_sizes_imply():
    """110.4 million for latents of 1,536 and 1,024 with four blocks, expansion 4 and width 512."""
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in residual_mlp(input_dim=width, output_dim=512).parameters()) for width in (1536, 1024)
        ]
    assert [round(count / 1e6, 1) for count in counts] == [76.3, 34.1]


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
