"""Dropout that a CPU does not spend half of its time on.

Place in the flow: a layer of the adapters. PyTorch's draws one Bernoulli number after another on a CPU, which takes
longer than the matrix products around it; here random words are drawn and cut into 16-bit numbers.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

LEVELS = 1 << 16


class Dropout(nn.Module):
    """Each number is dropped with probability `rate`, and those that stay are scaled to keep the mean.

    Args:
        rate: in [0, 1); on a CPU in steps of 1/65536.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Drop, while training."""
        if not self.training or self.rate == 0:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.rate)
        return _Dropped.apply(values, round(self.rate * LEVELS))  # pyright: ignore[reportReturnType]

    def extra_repr(self) -> str:
        """The rate, where a module is printed."""
        return f"rate={self.rate}"


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, level: int) -> Tensor:
        words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = torch.empty_like(values, memory_format=torch.contiguous_format)
        torch.ge(words.view(torch.int16)[: values.numel()].view(values.shape), level - LEVELS // 2, out=kept)
        ctx.save_for_backward(kept)
        ctx.scale = LEVELS / (LEVELS - level)
        return (values * kept).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator hides the names
        ctx: Any, *given: Tensor
    ) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return (given[0] * kept).mul_(ctx.scale), None
