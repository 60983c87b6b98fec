"""Pictures and sounds of the index as a browser takes them: small, larger, and the outline of a sound.

Place in the flow: position -> thumbnail of the index, or Searcher.content, by Decoders -> WebP, JPEG, MP3, SVG or plain
text -> the browser.
What is shown is made again from what was decoded, or is a thumbnail that a browser takes for a picture and nothing
else: no file of the index goes out as it is.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import numpy as np
from jaxtyping import Float
from PIL import Image

from fusemix import media
from fusemix.encoders.decoding import decode
from fusemix.interfaces import Content, Raw, Waveform
from fusemix.web.answers import Kept, kept
from fusemix.web.budget import Budget
from fusemix.web.decoder import File
from fusemix.web.decoders import Decoders

SIZES = ("small", "large", "outline")
SIDES = {"small": 448, "large": 1600}
"""Longest sides of pictures in pixels; smaller pictures keep their size."""
SECONDS = {"small": 30, "large": 600, "outline": media.OUTLINED_SEC}
"""Longest sounds; of longer ones the beginning is played."""
JPEG_QUALITY = 84
MP3_COMPRESSION = 0.6
"""On libsndfile's scale from 0 to 1: about 60 kbit/s at 44.1 kHz."""
KEPT_BYTES = 128 << 20
MOST_THUMBNAIL_BYTES = 1_000_000
"""Of a thumbnail; what is larger is none of fusemix's."""


def rendered(content: Content, size: str) -> Kept | None:
    """An item in a size; None where this kind has no such size.

    Args:
        content: picture, Waveform or text.
        size: one of SIZES.
    """
    if isinstance(content, str):
        return kept(content.encode("utf-8", "replace"), "text/plain; charset=utf-8")
    if isinstance(content, Waveform):
        return (
            kept(outline_svg(content), "image/svg+xml") if size == "outline" else kept(mp3(content, size), "audio/mpeg")
        )
    if not isinstance(content, Image.Image) or size == "outline":
        return None
    return kept(jpeg(content, size), "image/jpeg")


def jpeg(picture: Image.Image, size: str) -> bytes:
    """A picture with no side longer than SIDES says."""
    return media.jpeg(media.fitted(picture, SIDES[size]), JPEG_QUALITY, is_progressive=True)


def mp3(wave: Waveform, size: str) -> bytes:
    """The beginning of a sound, at most at 48 kHz."""
    return media.mp3(wave, SECONDS[size], highest_rate=media.MP3_RATES[-1], compression=MP3_COMPRESSION)


def outline_svg(wave: Waveform) -> bytes:
    """How loud the beginning of a sound is from stretch to stretch, as bars; the page lays colours behind it."""
    return _svg(media.loudness(wave, media.NUM_BARS))


def _svg(shares: Float[np.ndarray, " bars"]) -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {4 * len(shares)} 48" preserveAspectRatio="none">'
        f'<path d="{media.bars(shares, least=2.0)}" stroke="#000" stroke-width="2.6" stroke-linecap="round"/></svg>'
    ).encode()


def shown_at_once(modality: str, thumbnail: bytes, size: str) -> Kept | None:
    """A thumbnail that answers for a size; None where it does not, or is not what its modality has.

    Args:
        modality: of the item.
        thumbnail: out of an index that may be anybody's. What looks like a picture is sent as that picture, which runs
            nothing; of a sound the numbers are drawn.
        size: one of SIZES.
    """
    if (modality, size) == ("image", "small") and len(thumbnail) <= MOST_THUMBNAIL_BYTES:
        kind = media.kind_of_picture(thumbnail)
        return None if kind is None else kept(thumbnail, kind)
    if (modality, size) == ("audio", "outline") and 0 < len(thumbnail) <= media.NUM_BARS:
        return kept(_svg(np.frombuffer(thumbnail, np.uint8) / 255), "image/svg+xml")
    return None


class Media:
    """Items as they are shown; what was asked for last is kept. Several threads may ask at once.

    Args:
        content: position in the index, and what decodes -> decoded item, or None where its origin is out of reach.
        decoders: of files.
        thumbnail: position in the index -> modality and thumbnail, as the index has it; None looks for none.
        most_bytes: that are kept.
    """

    def __init__(
        self,
        content: Callable[[int, Callable[[str, Raw], Content]], Content | None],
        decoders: Decoders,
        thumbnail: Callable[[int], tuple[str, bytes] | None] | None = None,
        most_bytes: int = KEPT_BYTES,
    ) -> None:
        self._content, self._decoders, self._most_bytes = content, decoders, most_bytes
        self._thumbnail = thumbnail
        self._budget = Budget()
        self._kept: OrderedDict[tuple[int, str], Kept] = OrderedDict()
        self._num_bytes, self._lock = 0, Lock()

    def get(self, position: int, size: str) -> Kept | None:
        """An item in a size, or None where it is out of reach or has no such size.

        Args:
            position: in the index.
            size: one of SIZES.
        """
        key = (position, size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._from_index(position, size) or self._from_source(position, size)
        if made is not None:
            self._keep(key, made)
        return made

    def _from_index(self, position: int, size: str) -> Kept | None:
        if self._thumbnail is None or size == "large":
            return None
        found = self._thumbnail(position)
        return None if found is None else shown_at_once(*found, size)

    def _from_source(self, position: int, size: str) -> Kept | None:
        content = self._content(position, lambda modality, raw: self._decoded(modality, raw, size))
        return None if content is None else rendered(content, size)

    def _decoded(self, modality: str, raw: Raw, size: str) -> Content:
        wanted = {"image": SIDES, "audio": SECONDS}.get(modality, {}).get(size)
        if not isinstance(raw, bytes) or wanted is None:
            return decode(modality, raw)
        with self._decoders.decoded([File(modality, raw, wanted)], self._budget) as (content,):
            return content

    def _keep(self, key: tuple[int, str], made: Kept) -> None:
        with self._lock:
            if key in self._kept:  # another thread was faster
                return
            self._kept[key] = made
            self._num_bytes += len(made.body)
            while self._num_bytes > self._most_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._num_bytes -= len(dropped.body)
