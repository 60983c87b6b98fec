"""Some of many rows, drawn by a seed."""

from typing import Any

import numpy as np


def sample(rows: np.ndarray[Any, Any], most: int, seed: int) -> np.ndarray[Any, Any]:
    """All rows, or of more than `most` so many, in their order."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))]
