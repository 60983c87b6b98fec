"""Long sounds in fixed windows, so that no model crops them, at random or at all.

Place in the flow: Waveform -> windows -> one vector a window -> their mean, weighted by real samples.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

RULES = 1
"""Number of the rules below; raised whenever the windows of a sound or their mean change."""
SHORTEST_REST_SEC = 0.1
"""A shorter rest after the last full window is left out."""


def cut_windows(
    samples: Float[np.ndarray, " samples"], *, window_samples: int, sample_rate: int
) -> list[Float[np.ndarray, " window"]]:
    """Consecutive windows from the start; the last one may be shorter, and a tiny rest is dropped."""
    windows = [samples[at : at + window_samples] for at in range(0, len(samples), window_samples)]
    if len(windows) > 1 and len(windows[-1]) < SHORTEST_REST_SEC * sample_rate:
        windows.pop()
    return windows


def mean_over_windows(
    vectors: Float[Tensor, "windows dim"], owners: Sequence[int], weights: Sequence[int], num_owners: int
) -> Float[Tensor, "owners dim"]:
    """Weighted mean of the windows of each owner.

    Args:
        vectors: one a window.
        owners: the sound that a window belongs to, in [0, num_owners); each has at least one.
        weights: real samples in a window.
        num_owners: number of sounds.
    """
    owner = torch.tensor(owners, device=vectors.device)
    weight = torch.tensor(weights, device=vectors.device, dtype=vectors.dtype)
    total = torch.zeros(num_owners, device=vectors.device, dtype=vectors.dtype).index_add(0, owner, weight)
    summed = torch.zeros(num_owners, vectors.shape[1], device=vectors.device, dtype=vectors.dtype)
    return summed.index_add(0, owner, vectors * weight[:, None]) / total[:, None]
