"""A classical encoder of pictures: histograms of oriented gradients and coarse pixels. No weights.

Place in the flow: an encoder like any other; the built-in demo uses it.
Source: Dalal & Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005;
computed by scikit-image.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from skimage.feature import hog as histogram_of_gradients
from torch import Tensor

from fusemix.encoders.loading import package_versions
from fusemix.encoders.one_size import OneSize
from fusemix.errors import EncoderError

RULES = 1
"""Number of the rules below; raised whenever a picture gives other numbers."""
MOST = 4096
"""Pixels of a side, that a slip of the hand may not ask for all memory."""


def hog(*, size: int = 64, cell: int = 8, block: int = 1, orientations: int = 9, coarse: int = 16) -> "HogEncoder":
    """Histograms of oriented gradients, and the picture in a few grey pixels.

    Args:
        size: the picture is resized to size × size, in pixels.
        cell: side of a cell, in pixels.
        block: histograms are normalised in blocks of block × block cells; blocks overlap, so 2 gives four
            times as many numbers as 1.
        orientations: bins of a histogram.
        coarse: the grey picture is kept in coarse × coarse pixels; 0 leaves it out.

    Raises:
        EncoderError: no block of cells fits into the picture.
    """
    if min(cell, block, orientations) < 1 or coarse < 0 or not cell * block <= size <= MOST or coarse > MOST:
        raise EncoderError(
            f"hog with size={size}, cell={cell}, block={block}, orientations={orientations}, coarse={coarse}: numbers "
            f"must be positive (coarse may be 0), sizes at most {MOST:,}, and one block of cells must fit into it."
        )
    return HogEncoder(size, cell, block, orientations, coarse)


class HogEncoder(OneSize):
    """Pictures -> HOG and coarse pixels; see `hog`."""

    modality = "image"

    def __init__(self, size: int, cell: int, block: int, orientations: int, coarse: int) -> None:
        self._size, self._cell, self._block = size, cell, block
        self._orientations, self._coarse = orientations, coarse
        self.dim = len(self.prepare([Image.new("RGB", (size, size))])[0])
        self.fingerprint: dict[str, Any] = {
            "family": "hog",
            "size": size,
            "cell": cell,
            "block": block,
            "orientations": orientations,
            "coarse": coarse,
            "rules": {"hog": RULES},
            "packages": package_versions("scikit-image", "pillow"),
        }

    def prepare(self, contents: Sequence[Image.Image]) -> list[Float[np.ndarray, " dim"]]:
        """All the work: it needs no device, and workers share it out."""
        return [self._describe(picture) for picture in contents]

    def encode(self, batch: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Nothing is left to do."""
        return batch

    def _describe(self, picture: Image.Image) -> Float[np.ndarray, " dim"]:
        grey = picture.convert("L").resize((self._size, self._size), Image.Resampling.BILINEAR)
        cell, block = (self._cell, self._cell), (self._block, self._block)
        gradients = histogram_of_gradients(np.asarray(grey), self._orientations, cell, cells_per_block=block)
        parts = [gradients]
        if self._coarse:
            few = grey.resize((self._coarse, self._coarse), Image.Resampling.BOX)
            parts.append(np.asarray(few, dtype=np.float32).ravel() / 255)
        return np.concatenate(parts).astype(np.float32)
