"""Latents in fewer numbers: the directions in which they vary most.

Place in the flow: latents -> principal components -> closed-form recall, phases.py.
"""

import torch
from jaxtyping import Float, Float32
from torch import Tensor

CONSTANT = 1e-10
"""A direction with no more than this share of the largest variance counts as constant."""
SPARE, ROUNDS = 32, 6
"""Directions beyond those wanted, and passes over latents, with which the wanted ones are found closely enough."""


def principal_components(latents: Float[Tensor, "items dim"], most: int) -> Float32[Tensor, "items kept"]:
    """Latents, centred, along their directions of largest variance, the largest first.

    Where latents are much wider than what is wanted, the directions are found by subspace iteration (Halko, Martinsson
    and Tropp, "Finding Structure with Randomness", SIAM Review 2011, algorithm 4.4), from a fixed start.

    Args:
        latents: finite.
        most: components; fewer where latents vary in fewer directions.
    """
    centred = (latents.double() - latents.double().mean(dim=0)).float()
    span = centred
    if centred.shape[1] > 2 * (most + SPARE) and len(centred) > most + SPARE:
        span = centred @ _subspace(centred, most + SPARE)
    variances, directions = torch.linalg.eigh(span.double().T @ span.double())
    kept = variances > CONSTANT * variances[-1]
    kept[: max(0, len(kept) - most)] = False
    return span @ directions[:, kept].flip(1).float()


def _subspace(centred: Tensor, width: int) -> Tensor:
    start = torch.randn(len(centred), width, generator=torch.Generator().manual_seed(0)).to(centred.device)
    basis = torch.linalg.qr(centred.T @ start).Q
    for _ in range(ROUNDS):
        basis = torch.linalg.qr(centred.T @ (centred @ basis)).Q
    return basis
