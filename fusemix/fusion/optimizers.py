"""Optimisers: what makes steps of gradients. A factory is called as `factory(params, lr, **options)`.

Place in the flow: parameter groups, with their weight decay (schedule.py), and the peak rate -> torch.optim.Optimizer.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from fusemix.errors import ConfigError
from fusemix.ranges import share, within
from fusemix.registry import Registry

OPTIMIZERS = Registry(
    "optimizer",
    {
        "adamw": "fusemix.fusion.optimizers:adamw",
        "lion": "fusemix.fusion.optimizers:lion",
    },
    given=["params", "lr"],
)


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
    return torch.optim.AdamW(params, lr=lr, betas=_two(betas), eps=eps, fused=True)


def lion(params: Iterable[Any], lr: float, *, betas: Sequence[float] = (0.9, 0.99)) -> torch.optim.Optimizer:
    """Steps of one length, in the direction of a sign (Chen et al., arXiv:2302.06675).

    Its authors take a learning rate 3 to 10 times lower than AdamW's, and so many times as much weight decay.

    Args:
        params: groups with their weight decay.
        lr: peak learning rate.
        betas: share of the average in the step's direction, and share that the average keeps, in [0, 1).
    """
    from timm.optim.lion import Lion

    return Lion(params, lr=lr, betas=_two(betas))


def _two(betas: Sequence[float]) -> tuple[float, float]:
    if len(betas) != 2:
        raise ConfigError(
            f"optimizer.options.betas holds {len(betas)} numbers, but must hold two, such as [0.9, 0.99]."
        )
    for beta in betas:
        share("optimizer.options.betas", beta)
    return float(betas[0]), float(betas[1])
