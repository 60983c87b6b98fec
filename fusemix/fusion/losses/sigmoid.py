"""Sigmoid loss: for each pair of a left and a right item alone, do they belong together?

Place in the flow: embeddings of both sides -> a scalar. Tiles: losses/tiles.py; several processes: gathering.py.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from fusemix.fusion.gathering import gathered_rows
from fusemix.fusion.losses.tiles import Partners, full_precision, gradients, logits_by_tile, partners_of
from fusemix.parts.ranges import within

MOST_BIAS = 1000.0
"""Logits, at the lowest temperature, reach as far."""
EXACT_UP_TO = 40.0
"""Softplus of more is the number itself, also in float64."""


class SigmoidLoss(nn.Module):
    """Mean over left items of the sum, over right ones, of the log loss of sigmoid(logit_scale · cosine + bias).

    Source: Zhai et al. (SigLIP), arXiv:2303.15343, with a learned bias. A mean over all pairs, as in SAIL
    (arXiv:2412.04616), has gradients that fall with the batch, soon below AdamW's eps. Both start from a bias of -10;
    SAIL starts from temperature=0.05.

    Args:
        bias: where the bias starts; negative, since nearly all pairs do not belong together.

    Raises:
        ConfigError: it is out of all proportion.
    """

    def __init__(self, *, bias: float = -10.0) -> None:
        super().__init__()
        within("loss.options.bias", bias, -MOST_BIAS, MOST_BIAS)
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(
        self, left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"], logit_scale: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:
        """See `interfaces.PairLoss`. It is at least 0."""
        with torch.autocast(left.device.type, enabled=False):
            left, right, logit_scale, bias = full_precision(left, right, logit_scale, self.bias)
            return _LogLosses.apply(left, gathered_rows(right), logit_scale, bias, partners_of(left, right))


class _LogLosses(torch.autograd.Function):
    """Sum, a left item, of softplus(z), and of softplus(-z) for partners; z are the logits with their bias."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, logit_scale: Tensor, bias: Tensor, partners: Partners) -> Tensor:
        ctx.save_for_backward(left, right, logit_scale, bias)
        ctx.partners = partners
        total = torch.zeros_like(bias)
        for rows, columns, logits in logits_by_tile(left, right, logit_scale):
            logits += bias
            for _, _, view in partners.within(logits, rows, columns):
                view.neg_()
            total += F.softplus(logits, threshold=EXACT_UP_TO).sum()
        return total / len(left)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator hides the names
        ctx: Any, *given: Tensor
    ) -> tuple[Tensor | None, ...]:
        left, right, logit_scale, bias = ctx.saved_tensors
        for_bias = torch.zeros_like(bias)

        def weigh(logits: Tensor, rows: slice, columns: slice) -> Tensor:
            logits += bias
            found = [view for _, _, view in ctx.partners.within(logits, rows, columns)]
            for view in found:
                view.neg_()
            weights = logits.sigmoid_()
            for view in found:
                view.neg_()
            for_bias.add_(weights.sum())
            return weights

        found = gradients(left, right, logit_scale, weigh)
        factor = given[0] / len(left)
        return found.left * factor, found.right * factor, found.logit_scale * factor, for_bias * factor, None
