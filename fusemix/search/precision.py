"""How vectors are rounded: to half precision, or to one byte a number.

Place in the flow: unit vectors <-> what a file holds.

A byte counts 256 steps over the range of its dimension, which is a power of two. So vectors that are read, and written
again beside others, keep their bytes as long as the range stays, and no rounding adds up where an index grows. FAISS's
SQ8 with these ranges has the same bytes.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float32, Int8, UInt8

Precision = Literal["float32", "float16", "int8"]
LEAST_EXPONENT, MOST_EXPONENT = -100, 100
STEPS = 255


def exponents_of(vectors: Float32[np.ndarray, "items dim"]) -> Int8[np.ndarray, " dim"]:
    """The least power of two that no number of a dimension exceeds, for each dimension."""
    largest = np.abs(vectors).max(axis=0, initial=0.0)
    with np.errstate(divide="ignore"):
        return np.ceil(np.log2(largest)).clip(LEAST_EXPONENT, MOST_EXPONENT).astype(np.int8)


def ranges_of(exponents: Int8[np.ndarray, " dim"]) -> Float32[np.ndarray, " dim"]:
    """Largest number that each dimension can hold."""
    return np.exp2(exponents.astype(np.float32))


def bytes_of(
    vectors: Float32[np.ndarray, "items dim"], ranges: Float32[np.ndarray, " dim"]
) -> UInt8[np.ndarray, "items dim"]:
    """Vectors in one byte a number; what lies beyond a range is cut to it."""
    share = ((vectors + ranges) / (2 * ranges)).clip(0, 1)
    return (STEPS * share).astype(np.uint8)


def vectors_of(
    rows: UInt8[np.ndarray, "items dim"], ranges: Float32[np.ndarray, " dim"]
) -> Float32[np.ndarray, "items dim"]:
    """The middles of the steps that bytes stand for; none is further from its number than `ranges` / STEPS."""
    return (rows + np.float32(0.5)) / np.float32(STEPS) * (2 * ranges) - ranges


def as_stored(vectors: Float32[np.ndarray, "items dim"], precision: str) -> Float32[np.ndarray, "items dim"]:
    """Vectors as an index gives them back that holds them, and nothing else, in some precision."""
    if precision == "int8":
        ranges = ranges_of(exponents_of(vectors))
        return vectors_of(bytes_of(vectors, ranges), ranges)
    return vectors.astype(precision).astype(np.float32)
