"""What people see of an item in a list of results: a small picture, or the outline of a sound.

Place in the flow: decoded content, beside what is prepared for encoders -> a few kilobytes -> the table of an index.
Not here: whether what a table holds may be shown (web/media.py).
"""

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np
from PIL import Image

from fusemix.contents import Content, Waveform
from fusemix.media import NUM_BARS, fitted, loudness

LONGEST_SIDE = 384
"""In pixels; smaller pictures keep their size."""
QUALITY, METHOD = 75, 2
"""Of WebP, on PIL's scales. Equally good JPEGs take half as many bytes again; a method above 2 takes twice the time and
saves a twentieth."""


def thumbnails_of(decoded: Iterable[tuple[int, Mapping[int | None, Content]]]) -> dict[int, bytes]:
    """Place -> thumbnail, as far as there is one.

    Args:
        decoded: place of an item, and by `least_side` what it was decoded to, of which the largest is taken.
    """
    largest = ((place, max(of.values(), key=lambda one: getattr(one, "width", 0))) for place, of in decoded)
    made = ((place, thumbnail_of(content)) for place, content in largest)
    return {place: thumbnail for place, thumbnail in made if thumbnail is not None}


def thumbnail_of(content: Content) -> bytes | None:
    """A picture as WebP, or of a sound one byte a bar: see `media.loudness`; None where there is none.

    Args:
        content: as `decoding.decode` gives it.
    """
    with suppress(Exception):  # whatever befalls it, the item is indexed
        if isinstance(content, Waveform):
            return np.rint(255 * loudness(content, NUM_BARS)).astype(np.uint8).tobytes()
        if isinstance(content, Image.Image):
            file = io.BytesIO()
            fitted(content, LONGEST_SIDE).save(file, format="WEBP", quality=QUALITY, method=METHOD)
            return file.getvalue()
    return None
