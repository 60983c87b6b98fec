"""How far a figure of two sets would move with other items: the jackknife, a block of items left out at a time.

Place in the flow: figures without each block -> an interval.

Distances of whole sets are no means over items, and items drawn twice, as the bootstrap draws them, would raise them:
leaving items out does not.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

BLOCKS = 20
"""Of each set, or one an item where there are fewer."""
QUANTILE = 1.959964
"""Of the normal distribution, for 95 %."""


def blocks_of(num_items: int, generator: np.random.Generator) -> Int64[np.ndarray, " items"]:
    """The block of each item, at random, all as large but for one item; none holds all."""
    count = min(BLOCKS, num_items)
    return generator.permutation(np.arange(num_items) % count)


def interval_of(figure: float, without: Sequence[Float64[np.ndarray, " _blocks"]]) -> tuple[float, float]:
    """95 % around a figure of independent sets, by the delete-a-group jackknife.

    The variance is the sum, over sets, of (g - 1) / g times the squared deviations of the figures without one of its g
    blocks from their mean (Kott, "The Delete-a-Group Jackknife", Journal of Official Statistics 17, 2001).

    Args:
        figure: of whole sets.
        without: of each set the figures without each of its blocks, two at least.
    """
    variance = sum((len(some) - 1) * float(some.var()) for some in without)
    reach = QUANTILE * variance**0.5
    return figure - reach, figure + reach
