"""The most diverse subset: greedy maximum a posteriori of a k-DPP, exact, and lazy where there are many candidates.

Place in the flow: unit vectors -> rows in order of choice.

Each step takes the candidate that raises log det of the chosen ones' kernel most. Its gain is what is left of its
diagonal entry outside the span of the picks, K[i, i] - |c|² with L c = K[picks, i] (Chen, Zhang, Zhou, "Fast Greedy MAP
Inference for Determinantal Point Process", NeurIPS 2018, arXiv:1709.05135). A gain only falls as picks are added, so an
earlier one bounds it from above (Minoux 1978): a front of candidates is kept up to date, in float64, and the rest
(screen.py) is looked at again only when the best of the front falls below what the rest may have.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from fusemix.selection.kernel import coordinates, diagonal, kernel
from fusemix.selection.screen import BLOCK, Screen

FRONT = 4096
FRONT_BYTES = 1 << 30
"""The front's coordinates take no more."""
LEAST_SLACK, SLACK_PER_ERROR = 1e-5, 4.0
"""What the screen says may be too low by rounding: by this, or by so many times the largest error seen so far."""
EXHAUSTED = 1e-5
"""A candidate with a smaller gain lies in the span of the picks, as far as latents in float32 can tell."""
Advance = Callable[[int], None]


class Picked(NamedTuple):
    """What was chosen.

    Attributes:
        rows: of the candidates, in order of choice; fewer than asked for where the kernel has no higher rank.
        gains: of each when it was chosen, in (0, 4]; their logarithms sum up to log det.
    """

    rows: Int64[np.ndarray, " picks"]
    gains: Float[np.ndarray, " picks"]

    @property
    def log_determinant(self) -> float:
        """Of the kernel among the picks."""
        return float(np.log(self.gains).sum())


def most_diverse(
    unit: Float32[Tensor, "n dim"], size: int, advance: Advance = lambda count: None, front: int = FRONT
) -> Picked:
    """Choose candidates greedily; of equal ones the first.

    Args:
        unit: candidates, of unit length.
        size: how many; from 1 to n.
        advance: told of picks.
        front: candidates that are kept up to date.
    """
    state = _State(unit, size, max(1, min(front, len(unit), FRONT_BYTES // (8 * size))))
    while state.num_picks < size:
        state.renew_front()
        picked = state.pick_from_front(size)
        advance(picked)
        if picked == 0:
            break
    return Picked(state.picks[: state.num_picks].numpy(), state.gains[: state.num_picks].numpy())


class _State:
    """Picks, their factor, and the front.

    Args:
        unit: candidates.
        size: picks that there will be at most.
        most: candidates in the front.
    """

    def __init__(self, unit: Tensor, size: int, most: int) -> None:
        self._unit, self._most = unit, most
        self._screen = Screen(unit, size) if most < len(unit) else None
        self.num_picks = 0
        self.picks = torch.zeros(size, dtype=torch.int64)
        self.gains = torch.zeros(size, dtype=torch.float64)
        self._factor = torch.zeros(size, size, dtype=torch.float64)
        self._front = torch.zeros(0, dtype=torch.int64)
        self._front_gains = torch.zeros(0, dtype=torch.float64)
        self._front_unit = unit[:0].double()
        self._coordinates = torch.empty(most, size, dtype=torch.float64)
        self._outside, self._error = 0.0, 0.0

    def renew_front(self) -> None:
        """Have the candidates with the largest gains in the front."""
        if self._screen is None:
            rows = torch.arange(len(self._unit))
        else:
            picks = self.picks[: self.num_picks]
            self._screen.bounds[picks] = 0.0
            factor = self._factor[: self.num_picks, : self.num_picks].float()
            rows, self._outside = self._screen.highest(self._most, self._unit[picks], factor)
        self._enter(rows)
        if self._screen is not None:
            wrong = (self._front_gains - self._screen.bounds[rows]).abs().max()
            self._error = max(self._error, float(wrong))
            self._outside += max(LEAST_SLACK, SLACK_PER_ERROR * self._error) if self._outside else 0.0

    def _enter(self, rows: Tensor) -> None:
        """Compute coordinates of a new front in float64, but for those that were in the old one."""
        done, stays, place = self.num_picks, torch.zeros(len(rows), dtype=torch.bool), rows
        if len(self._front):
            place = torch.searchsorted(self._front, rows).clamp(max=len(self._front) - 1)
            stays = self._front[place] == rows
        gains = diagonal(self._unit[rows]).double()
        gains[stays] = self._front_gains[place[stays]]
        self._coordinates[: len(rows), :done][stays] = self._coordinates[place[stays], :done]
        chosen, factor = self._unit[self.picks[:done]].double(), self._factor[:done, :done]
        for at in torch.nonzero(~stays)[:, 0].split(BLOCK) if done else ():
            inside = coordinates(factor, kernel(chosen, self._unit[rows[at]].double())).T
            self._coordinates[at, :done] = inside
            gains[at] -= inside.square().sum(dim=1)
        gains[torch.isin(rows, self.picks[:done])] = 0.0
        self._front, self._front_gains, self._front_unit = rows, gains, self._unit[rows].double()

    def pick_from_front(self, size: int) -> int:
        """Pick as long as the best is in the front; returns how many."""
        before = self.num_picks
        while self.num_picks < size:
            best = int(self._front_gains.argmax())
            gain = float(self._front_gains[best])
            # The first one after a renewal is the best of all, or equal to it but for rounding.
            if gain <= EXHAUSTED or (gain < self._outside and self.num_picks > before):
                break
            self._pick(best, gain)
        return self.num_picks - before

    def _pick(self, best: int, gain: float) -> None:
        done, front = self.num_picks, self._coordinates[: len(self._front)]
        self.picks[done], self.gains[done] = self._front[best], gain
        self._factor[done, :done], self._factor[done, done] = front[best, :done], gain**0.5
        similar = kernel(self._front_unit, self._front_unit[best : best + 1])[:, 0]
        column = (similar - front[:, :done] @ front[best, :done]) / gain**0.5
        front[:, done] = column
        self._front_gains -= column.square()
        self._front_gains[best] = 0.0
        self.num_picks += 1
