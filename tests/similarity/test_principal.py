"""Principal components: those of an exact decomposition, also where they are found by iteration."""

import pytest
import torch

from fusemix.similarity.principal import principal_components


def decaying(items, dim):
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(items, dim, generator=generator) * torch.arange(1, dim + 1) ** -0.5
    return latents @ torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q + 5


@pytest.mark.parametrize("dim", [20, 400])
def test_they_are_those_of_an_exact_decomposition(dim):
    latents = decaying(500, dim)
    found = principal_components(latents, 10)
    left, values, _ = torch.linalg.svd((latents - latents.mean(0)).double(), full_matrices=False)
    wanted = left[:, :10] * values[:10]
    torch.testing.assert_close(found.double().abs(), wanted.abs(), atol=0.05, rtol=0.02)


def test_constant_dimensions_are_left_out():
    latents = decaying(100, 6)
    latents[:, 2] = 1
    latents[:, 4] = latents[:, 3]
    assert principal_components(latents, 10).shape == (100, 4)
