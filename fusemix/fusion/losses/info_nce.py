"""Symmetric InfoNCE: each item should pick its partner out of the batch, both ways.

Place in the flow: embeddings of both sides -> a scalar.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fusemix.interfaces import PairLoss


def info_nce() -> PairLoss:
    """Mean of the cross-entropies left to right and right to left.

    Source: van den Oord et al., arXiv:1807.03748, in the symmetric form of Radford et al., arXiv:2103.00020.
    """
    return symmetric_info_nce


def symmetric_info_nce(
    left: Float[Tensor, "batch dim"], right: Float[Tensor, "batch dim"], logit_scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE over cosines times `logit_scale`.

    Args:
        left, right: unit length; row i of one belongs to row i of the other.
        logit_scale: 1 / temperature, already exponentiated.

    Returns:
        At least 0; log(batch) where nothing is told apart.
    """
    logits = logit_scale * left @ right.T
    target = torch.arange(len(left), device=left.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
