"""benchmarks/step_estimate.py: kernels are counted as a calculation by hand counts them."""

import pytest
import torch

BATCH, WIDTHS, BLOCKS, DIM = 64, (32, 16), 2, 8


@pytest.fixture(scope="module")
def kernels(benchmark_module):
    return benchmark_module("kernels")


@pytest.fixture(scope="module")
def counted(benchmark_module):
    estimate = benchmark_module("step_estimate")
    sizes = benchmark_module("train").Sizes(WIDTHS, BLOCKS, BATCH, 0, 0, DIM)
    return estimate, sizes, estimate.kernels_of_a_step(sizes, "info_nce")


def seen(kernels, work):
    with kernels.Kernels() as found:
        work()
    return found.seen


def test_each_kernel_reads_and_writes_and_a_fused_chain_does_so_once(kernels):
    numbers, size = torch.randn(1000), 4000
    found = seen(kernels, lambda: (numbers * 2 + 1).relu())
    assert [kernel.name for kernel in found] == ["mul", "add", "relu"]
    assert kernels.alone(found, kernels.Rates()).num_bytes == 3 * 2 * size
    chain = kernels.fused(found, "", kernels.Rates())
    assert (chain.kernels, chain.num_bytes) == (1, size), "read once; nobody needs what it makes"


def test_what_a_product_needs_is_written_and_what_comes_before_is_read(kernels):
    one, other = torch.randn(30, 20), torch.randn(20, 10)
    found = seen(kernels, lambda: ((one * 2 + 1) @ other).exp_().sum())
    fused, product = kernels.fused(found, "", kernels.Rates()), 4 * (30 * 20 + 20 * 10 + 30 * 10)
    assert fused.flop == 2 * 30 * 20 * 10
    assert fused.num_bytes == 4 * (2 * 30 * 20) + product + 4 * 30 * 10


@pytest.mark.parametrize(
    ("work", "num_bytes"),
    [
        (lambda x: x.view(10, 100).t()[1:], 0),
        (torch.empty_like, 0),
        (lambda x: x.zero_(), 4000),
        (lambda x: x.add_(1), 8000),
        (lambda x: x.copy_(torch.ones(()).expand(1000)), 4000 + 4 + 4),  # which are made, and read once
        (lambda x: torch.native_dropout(x, 0.5, True), 4000 + 4000 + 1000),
        (lambda x: x.bfloat16(), 4000 + 2000),
        (lambda x: x.view(10, 100).logsumexp(dim=1), 4000 * 6 + 40 * 8),  # largest, less, exp, sum; and small ones
    ],
)
def test_bytes_are_those_of_memory(kernels, work, num_bytes):
    numbers = torch.randn(1000)
    found = seen(kernels, lambda: work(numbers))
    assert kernels.alone(found, kernels.Rates()).num_bytes == num_bytes


def test_a_kernel_takes_the_longest_of_its_three_times(kernels):
    rates = kernels.Rates(bfloat16=100.0, tf32=50.0, bandwidth=10.0, launch=1.0)
    assert rates.seconds(1000.0, torch.bfloat16, 20) == 10.0
    assert rates.seconds(1000.0, torch.float32, 20) == 20.0
    assert rates.seconds(0.0, torch.float32, 20) == 2.0
    assert rates.seconds(0.0, torch.float32, 1) == 1.0


def test_products_of_a_step_are_those_of_the_model(counted):
    _, _, found = counted
    flop = {phase: sum(k.flop for k in found if k.phase == phase) for phase in dict.fromkeys(k.phase for k in found)}
    matrices = sum(BLOCKS * 8 * width**2 + width * DIM for width in WIDTHS)
    assert flop["adapters forward"] == 2 * BATCH * matrices
    assert flop["adapters backward"] == 4 * BATCH * matrices
    loss = flop["loss forward"] + flop["loss backward"]
    assert 6 * BATCH**2 * DIM <= loss < 9 * BATCH**2 * DIM
    assert flop["prepare, mix"] == flop["optimiser"] == 0
    assert {k.dtype for k in found if k.flop and k.phase.startswith("adapters")} == {torch.bfloat16}
    assert {k.dtype for k in found if k.flop and k.phase.startswith("loss")} == {torch.float32}


def test_the_optimiser_reads_and_writes_weights_gradients_and_moments(counted):
    _, _, found = counted
    weights = sum(BLOCKS * (8 * width**2 + 7 * width) + 2 * width + (width + 1) * DIM for width in WIDTHS) + 1
    (first, *more) = [k for k in found if k.name == "_fused_adamw_"]
    read = sum(k.num_bytes for k in (first, *more))
    assert read == pytest.approx(4 * weights * 8, rel=0.01)  # four of each; PyTorch counts gradients as written


def test_fusing_moves_no_more_and_multiplies_as_much(counted, kernels):
    estimate, sizes, found = counted
    for phase in estimate.PHASES:
        of = [k for k in found if k.phase == phase]
        eager, fused = kernels.alone(of, kernels.Rates()), kernels.fused(found, phase, kernels.Rates())
        assert fused.num_bytes <= eager.num_bytes
        assert fused.flop == eager.flop
    figures = estimate.estimate(found, kernels.Rates(), 1e6)
    ways = {way: about["ms"] for way, about in figures["ways"].items()}
    assert ways["everything compiled"] <= ways["adapters compiled, as compile=true does"] <= ways["eager"]
    assert figures["phases"].keys() == set(estimate.PHASES)
    assert sizes.batch == BATCH
