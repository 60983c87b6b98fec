"""Some links of a set of which no two share an item.

Place in the flow: links of a latent set -> pairs that are independent of one another -> what compares two encoders.
"""

import numpy as np
from jaxtyping import Int64


def one_to_one(links: Int64[np.ndarray, "links 2"], most: int, seed: int) -> Int64[np.ndarray, "pairs 2"]:
    """Links at random, at most one of each left and of each right item.

    Args:
        links: (left row, right row).
        most: links that are taken.
        seed: of the choice.
    """
    found = links[np.random.default_rng(seed).permutation(len(links))]
    for side in (0, 1):
        found = found[np.sort(np.unique(found[:, side], return_index=True)[1])]
    return found[:most]
