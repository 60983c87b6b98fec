"""Symmetric InfoNCE: each item should pick its partner out of the batch, both ways.

Place in the flow: embeddings of both sides -> a scalar. Tiles: losses/tiles.py; several processes: gathering.py.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fusemix.fusion.gathering import gathered_rows, log_sum_over_processes, num_processes
from fusemix.fusion.losses.tiles import full_precision, gradients, partner_cosines, tiles
from fusemix.ranges import share


class InfoNCE(nn.Module):
    """Mean of the cross-entropies left to right and right to left, over cosines times `logit_scale`.

    Source: van den Oord et al., arXiv:1807.03748, in the symmetric form of Radford et al., arXiv:2103.00020; with
    several positives the mean over them stands outside of the logarithm, as in arXiv:2004.11362, equation 2.

    Args:
        label_smoothing: share of the target that is spread evenly over the batch (Szegedy et al., arXiv:1512.00567), in
            [0, 1); it keeps logits of unlinked items from being pushed ever further down.

    Raises:
        ConfigError: the share is none.
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        share("loss.options.label_smoothing", label_smoothing)
        self.label_smoothing = label_smoothing

    def forward(
        self, left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"], logit_scale: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:
        """See `interfaces.PairLoss`. It is at least 0, and log(batch) where nothing is told apart."""
        with torch.autocast(left.device.type, enabled=False):
            left, right, logit_scale = full_precision(left, right, logit_scale)
            columns = gathered_rows(right)
            of_partners, of_all = partner_cosines(left, right).mean(), left.mean(dim=0) @ columns.mean(dim=0)
            expected = torch.lerp(of_partners, of_all, self.label_smoothing)
            return _MeanLogSum.apply(left, columns, logit_scale) - logit_scale * expected


class _MeanLogSum(torch.autograd.Function):
    """Mean, over own rows and over all columns of the logits, of the logarithm of the sum of their exponentials.

    With p the softmax of a logit within its row and q that within its column, which goes through all processes, a logit
    changes the mean over processes as much as a part of (p + q / positives) / (2 · own rows) in this one would.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, logit_scale: Tensor) -> Tensor:
        of_rows, of_columns = log_sums(left, right, logit_scale)
        of_columns = log_sum_over_processes(of_columns)
        ctx.save_for_backward(left, right, logit_scale, of_rows, of_columns)
        return (of_rows.mean() + of_columns.mean()) / 2

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator hides the names
        ctx: Any, *given: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        left, right, logit_scale, of_rows, of_columns = ctx.saved_tensors
        num_positives = len(right) // (len(left) * num_processes())

        def weigh(logits: Tensor, rows: slice, columns: slice) -> Tensor:
            weights = (logits - of_rows[rows, None]).exp_()
            return weights.add_(logits.sub_(of_columns[columns]).exp_(), alpha=1 / num_positives)

        factor = given[0] / (2 * len(left))
        found = gradients(left, right, logit_scale, weigh)
        return found.left * factor, found.right * factor, found.logit_scale * factor


def log_sums(
    left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"], logit_scale: Float[Tensor, ""]
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " columns"]]:
    """Logarithm of the sum of the exponentials of each row, and of each column, of the logits."""
    of_rows = left.new_full((len(left),), -torch.inf)
    of_columns = left.new_full((len(right),), -torch.inf)
    for rows, columns in tiles(len(left), len(right), left.device.type):
        logits = (left[rows] @ right[columns].T).mul_(logit_scale)
        of_rows[rows] = torch.logaddexp(of_rows[rows], logits.logsumexp(dim=1))
        of_columns[columns] = torch.logaddexp(of_columns[columns], logits.logsumexp(dim=0))
    return of_rows, of_columns
