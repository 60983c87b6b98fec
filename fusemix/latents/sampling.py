"""Some of many rows, drawn by a seed."""

import numpy as np
from jaxtyping import Int64


def sample(rows: Int64[np.ndarray, "..."], most: int, seed: int) -> Int64[np.ndarray, "..."]:
    """All rows, or of more than `most` so many, in their order."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))]
