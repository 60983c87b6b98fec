"""Embeddings turned onto their principal axes, so that their first numbers say most and any width will do.

Place in the flow: embeddings of training items -> second moments -> an orthogonal matrix -> FusionModel.turn; and
embeddings -> their first numbers, at unit length.

An orthogonal matrix leaves cosines as they are. Of all of them this one leaves the least of the embeddings behind the
first numbers, however many these are, and so changes inner products least (Eckart and Young 1936).
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F


def second_moment(chunks: Iterable[Float[Tensor, "rows width"]]) -> Float64[Tensor, "width width"]:
    """Mean of x xᵀ over rows, not centred; sums over chunks are in float64.

    Args:
        chunks: embeddings of unit length, some at a time, at least one of them.
    """
    total, count = torch.zeros(()), 0
    for chunk in chunks:
        total = total + (chunk.T @ chunk).double()
        count += len(chunk)
    return total / count


def principal_axes(moments: Sequence[Float64[Tensor, "width width"]]) -> Float64[Tensor, "width width"]:
    """An orthogonal matrix R such that the first numbers of x R hold the most energy, on average over some sides.

    Args:
        moments: second moment of each side, which count alike however many items they have.

    Returns:
        Eigenvectors of their mean as columns, that with the largest eigenvalue first.
    """
    _, axes = torch.linalg.eigh(torch.stack(list(moments)).mean(dim=0))
    return axes.flip(dims=[1]).contiguous()


def shortened(embeddings: Float[Tensor, "rows width"], dim: int) -> Float[Tensor, "rows dim"]:
    """The first numbers of embeddings, at unit length; embeddings themselves where these are no wider.

    Args:
        embeddings: of unit length.
        dim: numbers to keep, at least 1.
    """
    return embeddings if dim >= embeddings.shape[1] else F.normalize(embeddings[:, :dim], dim=-1)
