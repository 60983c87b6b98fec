"""Sums of exponentials of the scores of every row and every column, which corrections of hubs divide by.

Place in the flow: tiles of scores -> logarithms of sums -> hubness.py.
"""

import numpy as np
from jaxtyping import Float32

from fusemix.retrieval.tiles import Block, Room, Share, Taker, Tile

Pair = tuple[Float32[np.ndarray, " rows"], Float32[np.ndarray, " columns"]]


class Masses(Taker):
    """Sums of exp(beta * score), of scores of unit vectors: with a beta up to 50, float32 holds them all."""

    def __init__(self, sizes: tuple[int, int], beta: float) -> None:
        """Of nothing yet.

        Args:
            sizes: numbers of rows and columns.
            beta: inverse temperature, above 0.
        """
        self._beta = np.float32(beta)
        self._sums = np.zeros(sizes[0]), np.zeros(sizes[1])

    def from_block(self, block: Block, room: Room) -> Pair:
        """Sums of its rows and columns."""
        powers = np.multiply(block.scores, self._beta, out=room.numbers(block.scores.shape))
        np.exp(powers, out=powers)
        return powers.sum(axis=1), powers.sum(axis=0)

    def from_device(self, tile: Tile) -> Pair:
        """The same of a whole tile."""
        powers = (tile.scores * float(self._beta)).exp_()
        return powers.sum(dim=1).cpu().numpy(), powers.sum(dim=0).cpu().numpy()

    def keep(self, part: Block | Tile, found: Pair) -> None:
        """Add them up, in float64."""
        self._sums[0][part.rows] += found[0]
        self._sums[1][part.columns] += found[1]

    def logarithms(self, share: Share) -> tuple[Float32[np.ndarray, " rows"], Float32[np.ndarray, " columns"]]:
        """Of the sums of all processes together."""
        rows, columns = (np.log(share.total(side)).astype(np.float32) for side in self._sums)
        return rows, columns
