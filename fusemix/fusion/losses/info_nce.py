"""Symmetric InfoNCE: each item should pick its partner out of the batch, both ways.

Place in the flow: embeddings of both sides -> a scalar. Tiles: losses/tiles.py; several processes: gathering.py.

Sums run over the items that are no partners, and partners come to them at the end, as log(1 + exp(others - partner)).
So a loss of 1e-7 keeps its digits, none is below 0, and the derivative by a partner's logit is no small difference.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fusemix.fusion.gathering import gathered_rows, log_sum_over_processes, of_all_processes
from fusemix.fusion.losses.tiles import Partners, full_precision, gradients, logits_by_tile, partners_of
from fusemix.parts.ranges import share

LARGEST_EXPONENT = 85.0
"""Exponentials of numbers up to it, and of their negatives, are ordinary numbers in float32."""


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
            partners = partners_of(left, right)
            return _CrossEntropies.apply(left, gathered_rows(right), logit_scale, partners, self.label_smoothing)


class LogSums(NamedTuple):
    """Logarithms of sums of exponentials of logits.

    Attributes:
        rows: over the items of each row that are no partners of it.
        columns: the same of each column.
        partners: logits of own partners.
    """

    rows: Float[Tensor, " rows"]
    columns: Float[Tensor, " columns"]
    partners: Float[Tensor, "positives rows"]


class _CrossEntropies(torch.autograd.Function):
    """Half the mean over own rows and half that over own columns: log of the sum of all, less the logit of the partner.

    With p the softmax of a logit within its row and q that within its column, which goes through all processes, a logit
    changes the mean over processes as much as a part of (p + q / positives) / (2 · own rows) in this one would.
    """

    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, logit_scale: Tensor, partners: Partners, smoothing: float
    ) -> Tensor:
        sums = log_sums(left, right, logit_scale, partners)
        sums = sums._replace(columns=log_sum_over_processes(sums.columns))
        others = sums.columns[partners.columns].view_as(sums.partners)
        of_partners = sums.partners.logsumexp(dim=0)
        of_rows = torch.logaddexp(sums.rows, of_partners)
        of_columns = torch.logaddexp(sums.columns, of_all_processes(sums.partners.flatten()))
        weights = _of_partners(sums, others, of_rows, torch.logaddexp(others, sums.partners))
        weights += 2 * smoothing * (1 / partners.positives - 1 / len(right))
        ctx.save_for_backward(left, right, logit_scale, of_rows, of_columns, weights)
        ctx.partners, ctx.smoothing = partners, smoothing
        among = of_partners - sums.partners.mean(dim=0)  # 0, where there is one positive
        of_own = _log_1p_exp(sums.rows - of_partners) + among, _log_1p_exp(others - sums.partners)
        loss = (of_own[0].mean() + of_own[1].mean()) / 2
        if smoothing:
            loss += smoothing * (sums.partners.mean() - logit_scale * (left.mean(dim=0) @ right.mean(dim=0)))
        return loss

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator hides the names
        ctx: Any, *given: Tensor
    ) -> tuple[Tensor | None, ...]:
        left, right, logit_scale, of_rows, of_columns, of_partners = ctx.saved_tensors
        partners: Partners = ctx.partners
        few = _in_range(logit_scale, len(left), len(right))

        def weigh(logits: Tensor, rows: slice, columns: slice) -> Tensor:
            weights = _softmaxes(logits, of_rows[rows, None], of_columns[columns], partners.positives, in_range=few)
            if ctx.smoothing:
                weights -= 2 * ctx.smoothing / len(right)
            for block, own, view in partners.within(weights, rows, columns):
                view.copy_(of_partners[block, own])
            return weights

        factor = given[0] / (2 * len(left))
        found = gradients(left, right, logit_scale, weigh)
        return found.left * factor, found.right * factor, found.logit_scale * factor, None, None


def log_sums(
    left: Float[Tensor, "rows dim"],
    right: Float[Tensor, "columns dim"],
    logit_scale: Float[Tensor, ""],
    partners: Partners,
) -> LogSums:
    """Sums over the rows and the columns of the logits, and partners apart from them; see `LogSums`.

    Where exponentials of all logits are ordinary numbers, one of each serves both directions. Otherwise (a temperature
    below 0.014 or so) each row and each column is taken relative to its own largest logit.
    """
    in_range = _in_range(logit_scale, len(left), len(right))
    of_rows, of_columns = (left.new_full((len(side),), -torch.inf) for side in (left, right))
    if in_range:
        of_rows, of_columns = of_rows.zero_(), of_columns.zero_()
    of_partners = left.new_empty(partners.positives, len(left))
    for rows, columns, logits in logits_by_tile(left, right, logit_scale):
        for block, own, view in partners.within(logits, rows, columns):
            of_partners[block, own] = view
            view.fill_(-torch.inf)
        if in_range:
            logits.exp_()
            of_rows[rows] += logits.sum(dim=1)
            of_columns[columns] += logits.sum(dim=0)
        else:
            of_rows[rows] = torch.logaddexp(of_rows[rows], logits.logsumexp(dim=1))
            of_columns[columns] = torch.logaddexp(of_columns[columns], logits.logsumexp(dim=0))
    if in_range:
        of_rows, of_columns = of_rows.log_(), of_columns.log_()
    return LogSums(of_rows, of_columns, of_partners)


def _in_range(logit_scale: Tensor, rows: int, columns: int) -> bool:
    # Cosines are at most 1. To read the factor, the host waits for the adapters, once a step: a small part of one.
    return float(logit_scale) + math.log(max(rows, columns)) <= LARGEST_EXPONENT


def _softmaxes(logits: Tensor, of_rows: Tensor, of_columns: Tensor, positives: int, *, in_range: bool) -> Tensor:
    """Softmax within the row, plus that within the column over the number of positives. Overwrites the logits."""
    if in_range:
        return logits.exp_().mul_((-of_rows).exp() + (-of_columns).exp() / positives)
    weights = (logits - of_rows).exp_()
    return weights.add_(logits.sub_(of_columns).exp_(), alpha=1 / positives)


def _of_partners(sums: LogSums, others: Tensor, of_rows: Tensor, of_columns: Tensor) -> Tensor:
    """What partners' logits weigh in the gradient: (p - 1/positives) + (q - 1) / positives, without these differences.

    A row's softmaxes sum to 1, so 1/positives is the mean over partners plus 1/positives of what others have.
    """
    softmax = (sums.partners - of_rows).exp()
    of_others = (sums.rows - of_rows).exp() + (others - of_columns).exp()
    return softmax - softmax.mean(dim=0) - of_others / len(softmax)


def _log_1p_exp(values: Tensor) -> Tensor:
    return torch.logaddexp(values, torch.zeros_like(values))
