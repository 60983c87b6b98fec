"""Fewer numbers of an embedding: the first ones, where a model's are turned onto their principal axes.

Place in the flow: unit vectors of a model -> their first numbers, at unit length.
Not here: the axes (fusion/rotation.py).
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from fusemix.errors import ConfigError
from fusemix.fusion.model import FusionModel
from fusemix.fusion.rotation import shortened


def require_width(dim: int, model: FusionModel, file: Path) -> None:
    """Refuse more numbers than there are, and fewer where the first ones are not those that say most.

    Args:
        dim: numbers that are asked for.
        model: whose embeddings are meant.
        file: that it was read from.

    Raises:
        ConfigError: the model has not so many, or is not turned onto its principal axes.
    """
    width = model.width
    if not 1 <= dim <= width:
        raise ConfigError(f"embeddings of {file} have {width} numbers, and {dim} are asked for. Give 1 to {width}.")
    if dim < width and model.rotation is None:
        raise ConfigError(
            f"{dim} are asked for, the first numbers of each embedding, and those of {file} are in no order: they "
            "are turned onto their principal axes when a run ends, and only in its best checkpoint, not in runs of "
            "before, and not where an adapter is `identity`. Take the best checkpoint, train again with another out, "
            f"or take all {width}."
        )


def cut(vectors: Float32[np.ndarray, "items width"], dim: int) -> Float32[np.ndarray, "items dim"]:
    """The first numbers of unit vectors, at unit length; no more than there are."""
    return shortened(torch.from_numpy(vectors), dim).numpy()
