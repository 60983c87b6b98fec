"""What an item is before and after it is decoded; where nothing else is needed, torch need not be loaded.

Place in the flow: data set -> Raw -> encoders/decoding.py -> Content. fusemix/interfaces.py has the rest.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

Raw = Any
"""What a data set hands over for one item: `str` for text; for pictures and sounds the encoded
file's `bytes`, or an object that needs no decoding (a PIL image, a Waveform)."""

Content = Any
"""A decoded item: `str`, an RGB `PIL.Image.Image`, or a `Waveform`."""


class Waveform(NamedTuple):
    """A decoded sound: mono samples, full scale at 1, and their rate in hertz."""

    samples: Float[np.ndarray, " samples"]
    sample_rate: int
