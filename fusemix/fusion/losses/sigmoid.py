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
from fusemix.fusion.losses.tiles import full_precision, gradients, partner_cosines, tiles
from fusemix.ranges import within

MOST_BIAS = 1000.0
"""Logits, at the lowest temperature, reach as far."""
EXACT_UP_TO = 40.0
"""Softplus of more is the number itself, also in float64."""


class SigmoidLoss(nn.Module):
    """Mean over all pairs of the log loss of sigmoid(logit_scale · cosine + bias), with a learned bias.

    Source: Zhai et al. (SigLIP), arXiv:2303.15343; the mean over all pairs in place of the mean over rows is SAIL's,
    arXiv:2412.04616. Both start from a bias of -10; SAIL starts from temperature=0.05.

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
        """See `interfaces.PairLoss`."""
        with torch.autocast(left.device.type, enabled=False):
            left, right, logit_scale, bias = full_precision(left, right, logit_scale, self.bias)
            columns = gathered_rows(right)
            of_partners = (logit_scale * partner_cosines(left, right) + bias).sum() / (len(left) * len(columns))
            # -log sigmoid(-z) = softplus(z) for all pairs; linked ones owe softplus(-z) = softplus(z) - z.
            return _MeanSoftplus.apply(left, columns, logit_scale, bias) - of_partners


class _MeanSoftplus(torch.autograd.Function):
    """Mean of softplus over all logits, whose derivative is the sigmoid."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(left, right, logit_scale, bias)
        total = torch.zeros_like(bias)
        for rows, columns in tiles(len(left), len(right), left.device.type):
            logits = (left[rows] @ right[columns].T).mul_(logit_scale).add_(bias)
            total += F.softplus(logits, threshold=EXACT_UP_TO).sum()
        return total / (len(left) * len(right))

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator hides the names
        ctx: Any, *given: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        left, right, logit_scale, bias = ctx.saved_tensors
        for_bias = torch.zeros_like(bias)

        def weigh(logits: Tensor, rows: slice, columns: slice) -> Tensor:
            weights = logits.add_(bias).sigmoid_()
            for_bias.add_(weights.sum())
            return weights

        found = gradients(left, right, logit_scale, weigh)
        factor = given[0] / (len(left) * len(right))
        return found.left * factor, found.right * factor, found.logit_scale * factor, for_bias * factor
