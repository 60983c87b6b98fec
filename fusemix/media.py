"""Pictures and sounds as a browser takes them: JPEG, MP3, and the outline of a sound.

Place in the flow: decoded pictures and sounds -> bytes -> the page of a report, and the demo of `fusemix serve`.
Not here: how large they are there (reports/page/shelf.py, web/media.py).
"""

import base64
import io

import numpy as np
import soundfile
import soxr
from jaxtyping import Float
from PIL import Image

from fusemix.interfaces import Waveform

MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Rates of MPEG audio layer III (ISO/IEC 11172-3 and 13818-3)."""
LOUDEST = 0.9
"""Peak that louder sounds are brought down to, where full scale is 1: an MP3 overshoots a little."""
OUTLINED_SEC = 10
"""Of a sound, the seconds that its outline shows."""
NUM_BARS = 56
"""Of an outline in a list of results."""


def fitted(picture: Image.Image, longest_side: int) -> Image.Image:
    """The picture in RGB, with no side longer than that, in pixels; small ones keep their size."""
    made = picture.convert("RGB")
    made.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return made


def jpeg(picture: Image.Image, quality: int, *, is_progressive: bool = False) -> bytes:
    """An RGB picture as a JPEG.

    Args:
        picture: to write.
        quality: on PIL's scale from 0 to 95.
        is_progressive: coarse first, for a browser that waits for the rest.
    """
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=quality, optimize=True, progressive=is_progressive)
    return file.getvalue()


def kind_of_picture(raw: bytes) -> str | None:
    """Media type of a JPEG or WebP by its first bytes, which is what browsers go by; None of anything else."""
    if raw.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP" else None


def mp3(wave: Waveform, longest_sec: int, *, highest_rate: int, compression: float) -> bytes:
    """The beginning of a sound as an MP3.

    At the lowest rate of MP3 that is no lower than the sound's own. A sound that would exceed full scale is made
    quieter as a whole, so that no player cuts off its peaks; others keep their loudness.

    Args:
        wave: at least one sample.
        longest_sec: seconds that are kept.
        highest_rate: one of MP3_RATES that is not exceeded, in hertz.
        compression: on libsndfile's scale from 0 to 1.
    """
    samples = wave.samples[: longest_sec * wave.sample_rate].astype(np.float32)
    rate = next((rate for rate in MP3_RATES if wave.sample_rate <= rate <= highest_rate), highest_rate)
    if rate != wave.sample_rate:
        samples = soxr.resample(samples, wave.sample_rate, rate)
    samples = samples * np.float32(LOUDEST / max(_peak(samples), LOUDEST))
    file = _mp3(samples, rate, compression)
    played = _peak(soundfile.read(file, dtype="float32")[0])
    if played > 1:  # compression raises peaks: of noise by half and more
        file = _mp3(samples * np.float32(LOUDEST / played), rate, compression)
    return file.getvalue()


def data_uri(kind: str, content: bytes) -> str:
    """A file inside a page, as an address; `kind` is its media type, such as image/jpeg."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _peak(samples: Float[np.ndarray, " samples"]) -> float:
    return float(np.abs(samples).max(initial=0))


def _mp3(samples: Float[np.ndarray, " samples"], rate: int, compression: float) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=compression)
    file.seek(0)
    return file


def outline(wave: Waveform, num_bars: int) -> Float[np.ndarray, " bars"]:
    """How loud each stretch of the first OUTLINED_SEC of a sound is, from 0 to 1, relative to its loudest sample.

    Args:
        wave: at least one sample.
        num_bars: stretches; fewer where there are fewer samples.
    """
    samples = np.abs(wave.samples[: OUTLINED_SEC * wave.sample_rate])
    starts = np.linspace(0, len(samples), min(num_bars, len(samples)), endpoint=False).astype(np.int64)
    return np.maximum.reduceat(samples, starts) / max(float(samples.max()), np.finfo(np.float32).tiny)


def loudness(wave: Waveform, num_bars: int) -> Float[np.ndarray, " bars"]:
    """The square root of `outline`, as high as bars are: what is a quarter as loud is half as high."""
    return np.sqrt(outline(wave, num_bars))


def bars(shares: Float[np.ndarray, " bars"], least: float) -> str:
    """An SVG path of upright bars around the middle of a box of height 48, each 4 wide.

    Args:
        shares: of the height, from 0 to 1.
        least: height of the lowest bar.
    """
    heights = np.maximum(46 * shares, least).tolist()
    return "".join(f"M{4 * bar + 2} {24 - height / 2:.1f}v{height:.1f}" for bar, height in enumerate(heights))
