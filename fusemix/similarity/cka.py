"""Linear CKA of two encoders on the same items, without the bias that grows with their widths.

Place in the flow: latents of linked items -> a Kernel each -> their CKA, and the same without each item.
Not here: intervals (fidelity/jackknife.py makes them of what is found without each item).

Linear CKA (Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019, arXiv:1905.00414) is
HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the kernels K = XX' and L = YY'. With the usual HSIC, wide latents that have
nothing to do with one another come near 1 where items are few; with the unbiased one (Song et al., "Feature Selection
via Dependence Maximization", JMLR 2012, equation 5) they come to 0 (Murphy et al., arXiv:2405.01012).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

FEWEST = 5
"""Items: without one of them, the unbiased HSIC still has a value."""


class Hsic(NamedTuple):
    """An unbiased HSIC.

    Attributes:
        value: of all items; may be below 0.
        without: the same without each item.
    """

    value: float
    without: Float64[Tensor, " items"]


class Kernel(NamedTuple):
    """A linear kernel over items, as far as HSIC needs it.

    Attributes:
        latents: centred, with a mean squared length of 1.
        lengths: squared, the diagonal of the kernel. As latents are centred, a row of the kernel without its diagonal
            adds up to the negative of these.
        own: HSIC with itself.
    """

    latents: Float32[Tensor, "items dim"]
    lengths: Float64[Tensor, " items"]
    own: Hsic


def kernel_of(latents: Float[Tensor, "items dim"]) -> Kernel:
    """The kernel of some latents; neither where they lie nor how long they are matters.

    Args:
        latents: FEWEST at least.

    Raises:
        ValueError: they are fewer, or all the same.
    """
    if len(latents) < FEWEST:
        raise ValueError(f"{len(latents)} items are too few for the unbiased HSIC")
    centred = latents.double() - latents.double().mean(dim=0)
    mean = centred.square().sum(dim=1).mean()
    if not mean > 0:
        raise ValueError("all latents are the same")
    scaled = (centred / mean.sqrt()).float()
    lengths = scaled.double().square().sum(dim=1)
    return Kernel(scaled, lengths, _hsic(scaled, lengths, scaled, lengths))


def cka(one: Kernel, other: Kernel) -> tuple[float, Float64[np.ndarray, " items"]]:
    """CKA of two kernels over the same items, and the same without each item.

    Returns:
        1 for latents that are turned, scaled and moved into one another, about 0 for such that have nothing to do with
        one another, perhaps a little below it. 0 where a kernel is no more like itself than chance makes it.
    """
    both = _hsic(one.latents, one.lengths, other.latents, other.lengths)
    value = _ratio(torch.tensor(both.value), torch.tensor(one.own.value), torch.tensor(other.own.value))
    return float(value), _ratio(both.without, one.own.without, other.own.without).cpu().numpy()


def _ratio(both: Tensor, one: Tensor, other: Tensor) -> Tensor:
    has_structure = (one > 0) & (other > 0)
    return torch.where(has_structure, both / (one * other).clamp(min=1e-300).sqrt(), 0.0).double()


def _hsic(left: Tensor, a: Tensor, right: Tensor, b: Tensor) -> Hsic:
    """From latents and squared lengths, in time that grows with items once: no kernel is ever held.

    Without item i, the sum over K∘L loses twice what it has in row i, and so do the others; see `_without`.
    """
    cross = left.T @ right
    rows = (left @ cross).mul_(right).sum(dim=1, dtype=torch.float64) - a * b  # (KL)_ii without diagonals
    product = float(cross.square().sum(dtype=torch.float64) - (a * b).sum())
    whole = _combined(product, float(a.sum() * b.sum()), float((a * b).sum()), len(a))
    return Hsic(float(whole), _without(left, a, right, b, rows, product))


def _without(left: Tensor, a: Tensor, right: Tensor, b: Tensor, rows: Tensor, product: float) -> Tensor:
    sums = (a.sum() - 2 * a) * (b.sum() - 2 * b)
    of_right, of_left = ((side @ (side.T @ of.float())).double() for side, of in ((right, a), (left, b)))
    between = (a * b).sum() + of_right + of_left + rows - 3 * a * b
    return _combined(product - 2 * rows, sums, between, len(a) - 1)


def _combined(product: float | Tensor, sums: float | Tensor, between: float | Tensor, n: int) -> Tensor:
    """Song et al.: (tr KL + 1'K1 1'L1 / ((n-1)(n-2)) - 2 1'KL1 / (n-2)) / (n(n-3)), without diagonals."""
    total = product + sums / ((n - 1) * (n - 2)) - 2 * between / (n - 2)
    return torch.as_tensor(total, dtype=torch.float64) / (n * (n - 3))
