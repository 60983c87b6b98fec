"""LION. Place in the flow: see optimizers/__init__.py."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from fusemix.fusion.optimizers import two


def lion(params: Iterable[Any], lr: float, *, betas: Sequence[float] = (0.9, 0.99)) -> torch.optim.Optimizer:
    """Steps of one length, in the direction of a sign (Chen et al., arXiv:2302.06675).

    Its authors take a learning rate 3 to 10 times lower than AdamW's, and so many times as much weight decay.

    Args:
        params: groups with their weight decay.
        lr: peak learning rate.
        betas: share of the average in the step's direction, and share that the average keeps, in [0, 1).
    """
    from timm.optim.lion import Lion  # with it comes torchvision

    return Lion(params, lr=lr, betas=two(betas))
