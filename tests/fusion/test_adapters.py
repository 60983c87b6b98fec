import math

import pytest
import torch

from fusemix.errors import ConfigError
from fusemix.fusion.adapters import ADAPTERS, KEEP_WIDTH
from fusemix.fusion.adapters.affine import StartsLinear
from fusemix.fusion.adapters.aligned_residual import AlignedResidual
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.fusion.adapters.gated import Gated
from fusemix.fusion.adapters.low_rank_residual import LowRankResidual
from fusemix.fusion.adapters.residual_mlp import residual_mlp


@pytest.mark.parametrize("name", ADAPTERS.names())
def test_an_adapter_maps_rows_on_their_own_to_the_shared_width(name):
    width = 8 if name in KEEP_WIDTH else 3
    adapter = ADAPTERS.build(name, {}, input_dim=8, output_dim=width).eval()
    rows = torch.randn(5, 8)
    out = adapter(rows)
    assert out.shape == (5, width)
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


def test_the_bottleneck_works_on_a_narrow_projection():
    adapter = ADAPTERS.build("bottleneck", {"hidden_dim": 4, "num_blocks": 2}, input_dim=9, output_dim=3).eval()
    _, down, first, second, norm, out = adapter
    rows = torch.randn(5, 9)
    hidden = rows @ down.weight.T + down.bias
    for block in (first, second):
        hidden = hidden + block.branch(hidden)
    torch.testing.assert_close(adapter(rows), out(norm(hidden)))


def test_the_gated_adapter_agrees_with_its_formula():
    adapter, rows = Gated(input_dim=5, output_dim=2, expansion=3), 4 * torch.randn(6, 5)
    x = adapter.norm(rows)
    gate = (x @ adapter.gate.weight.T + adapter.gate.bias).clamp(0, 6)
    expected = (gate * (x @ adapter.value.weight.T + adapter.value.bias)) @ adapter.out.weight.T + adapter.out.bias
    assert adapter.gate.out_features == 15
    torch.testing.assert_close(adapter(rows), expected)


def test_the_low_rank_residual_starts_linear_and_orthogonal_and_can_bend():
    adapter, rows = LowRankResidual(input_dim=8, output_dim=3, rank=2), torch.randn(5, 8)
    torch.testing.assert_close(adapter(rows), rows @ adapter.linear.weight.T)
    torch.testing.assert_close(adapter.linear.weight @ adapter.linear.weight.T, torch.eye(3))
    adapter(rows).square().sum().backward()
    assert adapter.gate.grad.abs() > 0
    adapter.gate.data.fill_(0.5)
    expected = rows @ adapter.linear.weight.T + math.tanh(0.5) * adapter.residual(rows)
    torch.testing.assert_close(adapter(rows), expected)


def test_the_identity_has_nothing_to_train_and_leaves_rows_as_they_are():
    adapter, rows = ADAPTERS.build("identity", {}, input_dim=8, output_dim=8), torch.randn(5, 8)
    assert torch.equal(adapter(rows), rows)
    assert list(adapter.parameters()) == []


def test_the_aligned_residual_starts_as_the_identity_and_can_be_drawn_back_to_it():
    adapter, rows = AlignedResidual(input_dim=8, output_dim=8, hidden_dim=3), torch.randn(5, 8)
    assert torch.equal(adapter(rows), rows)
    adapter(rows).square().sum().backward()
    assert adapter.gate.grad.abs() > 0
    adapter.eval().gate.data.fill_(0.5)
    _, norm, up, _, _, down = adapter.residual
    hidden = norm(rows) @ up.weight.T + up.bias
    bent = (hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2) @ down.weight.T + down.bias
    torch.testing.assert_close(adapter(rows), rows + 0.5 * bent)
    adapter.move(residual=0.5, linear=0.0)
    torch.testing.assert_close(adapter(rows), rows + 0.25 * bent)
    adapter.move(residual=0.0, linear=0.0)
    assert torch.equal(adapter(rows), rows)


def test_the_aligned_residual_adds_as_much_of_a_linear_map_as_it_is_told():
    adapter, rows = AlignedResidual(input_dim=8, output_dim=8, linear=True), torch.randn(5, 8)
    weight, bias = torch.randn(8, 8), torch.randn(8)
    adapter.take_linear(weight, bias)
    assert torch.equal(adapter(rows), rows)
    adapter.move(residual=1.0, linear=0.5)
    torch.testing.assert_close(adapter(rows), rows + 0.5 * (rows @ weight.T + bias))


@pytest.mark.parametrize("name", KEEP_WIDTH)
def test_an_adapter_that_keeps_the_width_refuses_another_one(name):
    with pytest.raises(ConfigError) as error:
        ADAPTERS.build(name, {}, input_dim=8, output_dim=3)
    assert str(error.value) == (
        f"adapter '{name}' keeps the width of latents, which are 8 wide, and the shared space is 3 wide. Both sides "
        "have to share a width: set embedding_dim=8, or give another adapter."
    )


@pytest.mark.parametrize("name", ["linear", "low_rank_residual"])
def test_an_adapter_with_a_linear_part_becomes_a_given_map(name):
    adapter = ADAPTERS.build(name, {}, input_dim=6, output_dim=5)
    assert isinstance(adapter, StartsLinear)
    weight, bias, rows = torch.randn(3, 6), torch.randn(3), torch.randn(4, 6)
    adapter.start_from(weight, bias)
    expected = torch.cat([rows @ weight.T + bias, torch.zeros(4, 2)], dim=1)
    torch.testing.assert_close(adapter(rows), expected)
    with pytest.raises(ValueError, match="a map to 6 dimensions does not fit into 5"):
        adapter.start_from(torch.randn(6, 6), torch.randn(6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_dropout_drops_its_share_and_keeps_the_mean_both_ways(dtype, rate):
    torch.manual_seed(0)
    ones = torch.ones(401, 251, dtype=dtype, requires_grad=True)
    dropped = Dropout(rate)(ones)
    assert float((dropped == 0).float().mean()) == pytest.approx(rate, abs=0.01)
    kept = dropped[dropped != 0]
    assert float(kept[0].detach()) == pytest.approx(1 / (1 - rate), rel=4e-3 if dtype == torch.bfloat16 else 1e-4)
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped)
    rows = (dropped == 0).float().mean(dim=1)
    assert float(rows.std()) == pytest.approx(math.sqrt(rate * (1 - rate) / 251), rel=0.2), "numbers drop on their own"


def test_dropout_does_nothing_in_evaluation_or_at_rate_nought():
    values = torch.randn(9)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)


def test_dropout_depends_on_the_seed_alone():
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(Dropout(0.5)(torch.ones(64)))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("rate", [-0.1, 1.0])
@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
def test_a_share_that_cannot_be_dropped_is_refused(name, rate):
    with pytest.raises(ConfigError, match=f"adapter.options.{name} is .*, but must be at least 0 and below 1"):
        ADAPTERS.build("linear" if name == "input_dropout" else "gated", {name: rate}, input_dim=4, output_dim=2)
