"""Whether two encoders see the same items near one another: mutual k nearest neighbours.

Place in the flow: latents of linked items -> the nearest of each item -> how many of them two encoders share.
Not here: intervals (fidelity/jackknife.py), and precision and coverage of generated pictures (fidelity/neighbours.py).

Source: Huh et al., "The Platonic Representation Hypothesis", ICML 2024, arXiv:2405.07987, by cosine.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.functional import normalize

ROWS_AT_ONCE = 1024


def nearest_items(latents: Float[Tensor, "items dim"], count: int) -> Int64[Tensor, "items count"]:
    """The nearest other items of each item by cosine, the nearest first.

    Args:
        latents: as an encoder gave them, not centred.
        count: of neighbours, below the number of items.

    Raises:
        ValueError: there are not as many others.
    """
    if not 0 < count < len(latents):
        raise ValueError(f"{len(latents)} items have no {count} others")
    unit = normalize(latents.float(), dim=1)
    found = []
    for at in range(0, len(unit), ROWS_AT_ONCE):
        cosines = unit[at : at + ROWS_AT_ONCE] @ unit.T
        rows = torch.arange(len(cosines), device=unit.device)
        cosines[rows, rows + at] = -torch.inf
        found.append(cosines.topk(count, dim=1).indices)
    return torch.cat(found)


def mutual_share(
    one: Int64[Tensor, "items some"], other: Int64[Tensor, "items some"]
) -> tuple[float, Float64[np.ndarray, " items"]]:
    """Mean share of the k nearest neighbours that two encoders have in common, and the same without each item.

    Args:
        one, other: k + 1 neighbours of each item: where a neighbour is left out, the next one takes its place.

    Returns:
        In [0, 1]; of unrelated latents k / (items - 1) on average.
    """
    same = one[:, :, None] == other[:, None, :]
    k, n = one.shape[1] - 1, len(one)
    shared = same[:, :k, :k]
    common, lone = shared.sum(dim=(1, 2)), torch.zeros(n, dtype=torch.int64, device=one.device)
    from_one, from_other = same[:, k, :k].sum(dim=1), same[:, :k, k].sum(dim=1)  # what comes next is shared then
    both = same[:, k, k].long() - 1
    change = (
        lone.scatter_add(0, one[:, :k].flatten(), from_one.repeat_interleave(k))
        .scatter_add(0, other[:, :k].flatten(), from_other.repeat_interleave(k))
        .scatter_add(0, one[:, :k].flatten(), (both[:, None] * shared.any(dim=2)).flatten())
    )
    without = (common.sum() - common + change).double() / (k * (n - 1))
    return float(common.sum()) / (k * n), without.cpu().numpy()


def mutual_by_chance(k: int, num_items: int) -> float:
    """What latents that have nothing to do with one another share on average."""
    return k / (num_items - 1)
