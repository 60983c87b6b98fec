"""Pictures and sounds of the index as a browser takes them: small, larger, and the outline of a sound.

Place in the flow: position -> Searcher.content, by Decoders -> JPEG, MP3, SVG or plain text -> the browser.
What is shown is made anew from what was decoded: no file of the index goes out as it is.
"""

import io
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import numpy as np
import soundfile
import soxr
from jaxtyping import Float
from PIL import Image

from fusemix.encoders.decoding import decode
from fusemix.interfaces import Content, Raw, Waveform
from fusemix.reports.page.media import outline
from fusemix.web.answers import Kept, kept
from fusemix.web.budget import Budget
from fusemix.web.decoder import File
from fusemix.web.decoders import Decoders

SIZES = ("small", "large", "outline")
SIDES = {"small": 448, "large": 1600}
"""Longest sides of pictures in pixels; smaller pictures keep their size."""
SECONDS = {"small": 30, "large": 600, "outline": 10}
"""Longest sounds; of longer ones the beginning is played."""
JPEG_QUALITY = 84
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Rates of MPEG audio layer III (ISO/IEC 11172-3 and 13818-3)."""
MP3_COMPRESSION = 0.6
"""On libsndfile's scale from 0 to 1: about 60 kbit/s at 44.1 kHz."""
LOUDEST = 0.9
"""Peak that louder sounds are brought down to, where full scale is 1: an MP3 overshoots a little."""
NUM_BARS = 56
KEPT_BYTES = 128 << 20


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
    fitted = picture.convert("RGB")
    fitted.thumbnail((SIDES[size], SIDES[size]), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    fitted.save(file, format="JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return file.getvalue()


def mp3(wave: Waveform, size: str) -> bytes:
    """The beginning of a sound, at the lowest rate of MP3 that is no lower than its own, and at most 48 kHz."""
    samples = wave.samples[: SECONDS[size] * wave.sample_rate].astype(np.float32)
    rate = next((rate for rate in MP3_RATES if rate >= wave.sample_rate), MP3_RATES[-1])
    if rate != wave.sample_rate:
        samples = soxr.resample(samples, wave.sample_rate, rate)
    samples = samples * np.float32(LOUDEST / max(_peak(samples), LOUDEST))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=MP3_COMPRESSION)
    return file.getvalue()


def _peak(samples: Float[np.ndarray, " samples"]) -> float:
    return float(np.abs(samples).max(initial=0))


def outline_svg(wave: Waveform) -> bytes:
    """How loud the beginning of a sound is from stretch to stretch, as bars; the page lays colours behind it."""
    heights = np.maximum(46 * np.sqrt(outline(wave, NUM_BARS)), 2).tolist()
    bars = "".join(f"M{4 * bar + 2} {24 - height / 2:.1f}v{height:.1f}" for bar, height in enumerate(heights))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {4 * len(heights)} 48" preserveAspectRatio="none">'
        f'<path d="{bars}" stroke="#000" stroke-width="2.6" stroke-linecap="round"/></svg>'
    ).encode()


class Media:
    """Items as they are shown; what was asked for last is kept. Several threads may ask at once.

    Args:
        content: position in the index, and what decodes -> decoded item, or None where its origin is out of reach.
        decoders: of files.
        most_bytes: that are kept.
    """

    def __init__(
        self,
        content: Callable[[int, Callable[[str, Raw], Content]], Content | None],
        decoders: Decoders,
        most_bytes: int = KEPT_BYTES,
    ) -> None:
        self._content, self._decoders, self._most_bytes = content, decoders, most_bytes
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
        content = self._content(position, lambda modality, raw: self._decoded(modality, raw, size))
        made = None if content is None else rendered(content, size)
        if made is not None:
            self._keep(key, made)
        return made

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
