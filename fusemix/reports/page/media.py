"""Pictures and sounds as data URIs, small enough for a page of hundreds.

Place in the flow: Content of the shown items -> data URIs -> the page.
"""

import base64
import io

import numpy as np
import soundfile
import soxr
from jaxtyping import Float
from PIL import Image

from fusemix.interfaces import Waveform

LONGEST_SIDE = 224
JPEG_QUALITY = 80
LONGEST_SEC = 10
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000)
"""Rates of MPEG-2 and MPEG-2.5 audio layer III (ISO/IEC 13818-3); those above 24 kHz are not needed here."""
MP3_COMPRESSION = 0.8
"""On libsndfile's scale from 0 to 1: about 35 kbit/s, enough to hear what a sound is."""
LOUDEST = 0.9
"""Peak that louder sounds are brought down to, where full scale is 1."""


def fit(picture: Image.Image) -> Image.Image:
    """The picture in RGB, no larger than LONGEST_SIDE; small ones keep their size."""
    fitted = picture.convert("RGB")
    fitted.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return fitted


def jpeg_uri(picture: Image.Image) -> str:
    """An RGB picture as a JPEG data URI."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return _uri("image/jpeg", file)


def mp3_uri(wave: Waveform) -> str:
    """The first LONGEST_SEC of a sound as an MP3 data URI.

    At the lowest rate of MP3 that is no lower than the sound's own, and at most 24 kHz. A sound that would exceed full
    scale is made quieter as a whole, so that no player cuts off its peaks; others keep their loudness.
    """
    samples = wave.samples[: LONGEST_SEC * wave.sample_rate].astype(np.float32)
    rate = next((rate for rate in MP3_RATES if rate >= wave.sample_rate), MP3_RATES[-1])
    if rate != wave.sample_rate:
        samples = soxr.resample(samples, wave.sample_rate, rate)
    samples = samples * np.float32(LOUDEST / max(_peak(samples), LOUDEST))
    file = _mp3(samples, rate)
    played = _peak(soundfile.read(file, dtype="float32")[0])
    if played > 1:  # compression raises peaks: of noise by half and more
        file = _mp3(samples * np.float32(LOUDEST / played), rate)
    return _uri("audio/mpeg", file)


def _peak(samples: Float[np.ndarray, " samples"]) -> float:
    return float(np.abs(samples).max(initial=0))


def _mp3(samples: Float[np.ndarray, " samples"], rate: int) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=MP3_COMPRESSION)
    file.seek(0)
    return file


def _uri(kind: str, file: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def outline(wave: Waveform, num_bars: int) -> Float[np.ndarray, " bars"]:
    """How loud each stretch of the first LONGEST_SEC of a sound is, from 0 to 1, relative to its loudest sample.

    Args:
        wave: at least one sample.
        num_bars: stretches; fewer where there are fewer samples.
    """
    samples = np.abs(wave.samples[: LONGEST_SEC * wave.sample_rate])
    starts = np.linspace(0, len(samples), min(num_bars, len(samples)), endpoint=False).astype(np.int64)
    return np.maximum.reduceat(samples, starts) / max(float(samples.max()), np.finfo(np.float32).tiny)
