"""The kernel of the diversity study, and Cholesky factors over it.

Place in the flow: unit vectors -> similarities that kdpp.py chooses by.
"""

import torch
from jaxtyping import Float
from torch import Tensor

DIAGONAL, DIAGONAL_OF_NOTHING = 4.0, 1.0
"""Of a candidate with itself, and of one whose latent is zero."""


def kernel(left: Float[Tensor, "left dim"], right: Float[Tensor, "right dim"]) -> Float[Tensor, "left right"]:
    """(cos + 1)², which is how the authors of FuseMix (arXiv:2312.10144) compare candidates.

    It is positive semidefinite: a polynomial of an inner product with coefficients that are not negative.

    Args:
        left, right: unit length.
    """
    return (left @ right.T).add_(1.0).square_()


def coordinates(factor: Float[Tensor, "picks picks"], columns: Float[Tensor, "picks n"]) -> Float[Tensor, "picks n"]:
    """Coordinates of candidates in the span of the picks: c of L c = K[picks, candidates].

    Args:
        factor: L, the lower Cholesky factor of the picks' kernel.
        columns: the kernel between picks and candidates.
    """
    return torch.linalg.solve_triangular(factor, columns, upper=False)


def diagonal(unit: Float[Tensor, "n dim"]) -> Float[Tensor, " n"]:
    """The kernel of each candidate with itself, without rounding, so that equal candidates have equal gains."""
    is_nothing = (unit == 0).all(dim=1)
    return torch.where(is_nothing, DIAGONAL_OF_NOTHING, DIAGONAL).to(unit.dtype)
