"""AdamW. Place in the flow: see optimizers/__init__.py."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from fusemix.fusion.optimizers import two
from fusemix.parts.ranges import within


def adamw(
    params: Iterable[Any], lr: float, *, betas: Sequence[float] = (0.9, 0.999), eps: float = 1e-8
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101).

    Args:
        params: groups with their weight decay.
        lr: peak learning rate.
        betas: shares that averages of gradients and of their squares keep each step, in [0, 1).
        eps: added to the root of the mean square; gradients well below it take small steps. In [1e-30, 1].
    """
    within("optimizer.options.eps", eps, 1e-30, 1.0)
    return torch.optim.AdamW(params, lr=lr, betas=two(betas), eps=eps, fused=True)
