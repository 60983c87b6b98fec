"""Upper bounds of all candidates' gains, brought up to date where it is needed.

Place in the flow: picks so far -> Screen -> the candidates whose gains may be the largest, for kdpp.py.

Each candidate's coordinates in the span of the picks are kept, so that further picks cost only their own columns: the
first ones, which are large, in float32, and the rest in float16. Gains are summed up in float32 as columns are made.
"""

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from fusemix.selection.kernel import coordinates, diagonal, kernel

HEAD = 256
"""Columns in float32."""
BLOCK = 8192
"""Candidates at a time."""


def screen_bytes(num_candidates: int, size: int) -> int:
    """Memory that a screen takes for some candidates and picks."""
    return num_candidates * (4 * min(size, HEAD) + 2 * max(0, size - HEAD) + 12)


class Screen:
    """Bounds of the gains of all candidates.

    Args:
        unit: candidates, of unit length.
        size: picks that there will be at most.

    Attributes:
        bounds: no gain is larger, but for rounding. Whoever picks one sets its bound to 0.
    """

    def __init__(self, unit: Float32[Tensor, "n dim"], size: int) -> None:
        self._unit = unit
        self.bounds = diagonal(unit)
        self._known = torch.zeros(len(unit), dtype=torch.int64)
        self._head = torch.zeros(len(unit), min(size, HEAD))
        self._tail = torch.zeros(len(unit), max(0, size - HEAD), dtype=torch.float16)

    def highest(
        self, most: int, chosen: Float32[Tensor, "picks dim"], factor: Float[Tensor, "picks picks"]
    ) -> tuple[Int64[Tensor, " some"], float]:
        """The candidates with the largest gains, and a bound of all others.

        Args:
            most: how many.
            chosen: vectors of the picks.
            factor: Cholesky factor of their kernel, in float32.

        Returns:
            Rows in ascending order, and the largest bound outside them; 0 where there is none outside.
        """
        order = torch.argsort(self.bounds, descending=True, stable=True)
        at = 0
        while at < len(order):
            some = order[at : at + max(BLOCK, most)]
            self._bring_up_to_date(some, chosen, factor)
            at += len(some)
            least = torch.topk(self.bounds[order[:at]], min(most, at)).values[-1]
            if at < len(order) and least >= self.bounds[order[at]]:
                break
        seen = order[:at]
        best = seen[torch.argsort(self.bounds[seen], descending=True, stable=True)]
        outside = torch.cat([best[most : most + 1], order[at : at + 1]])
        return best[:most].sort().values, float(self.bounds[outside].max()) if len(outside) else 0.0

    def _bring_up_to_date(self, rows: Tensor, chosen: Tensor, factor: Tensor) -> None:
        known = self._known[rows]
        for start in known.unique().tolist():
            if start < len(chosen):
                for some in rows[known == start].split(BLOCK):
                    self._add_columns(some, start, chosen, factor)

    def _add_columns(self, rows: Tensor, start: int, chosen: Tensor, factor: Tensor) -> None:
        picks = len(chosen)
        columns = kernel(chosen[start:], self._unit[rows])
        if start:
            columns -= factor[start:, :start] @ self._coordinates(rows, start).T
        made = coordinates(factor[start:, start:], columns).T
        head = max(0, min(picks, HEAD) - start)
        self._head[rows, start : start + head] = made[:, :head]
        if picks > HEAD:
            self._tail[rows, max(start, HEAD) - HEAD : picks - HEAD] = made[:, head:].half()
        self._known[rows] = picks
        self.bounds[rows] = (self.bounds[rows] - made.square().sum(dim=1)).clamp_(min=0.0)

    def _coordinates(self, rows: Tensor, num_columns: int) -> Float32[Tensor, "some columns"]:
        head = self._head[rows, : min(num_columns, HEAD)]
        if num_columns <= HEAD:
            return head
        return torch.cat([head, self._tail[rows, : num_columns - HEAD].float()], dim=1)
