"""From the bytes of a file to a picture, a sound or a text that every encoder takes.

Place in the flow: Raw -> decode -> Content, once per item, whatever the number of encoders.
Not here: sizes, crops and scales, which belong to an encoder.
"""

import io
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from PIL import Image, ImageOps

from fusemix.interfaces import Content, Raw, Waveform

HIGH_BIT_MODES = ("I;16", "I;16L", "I;16B", "I")


def decode(modality: str, raw: Raw) -> Content:
    """Decode one item; a modality that is neither image nor audio is handed through.

    Raises:
        Exception: whatever the decoder raises; the caller sets the item aside.
    """
    return DECODERS[modality](raw) if modality in DECODERS else raw


def decode_image(raw: bytes | Image.Image) -> Image.Image:
    """Decode a picture to RGB, upright as its EXIF data says; of an animation the first frame.

    Raises:
        OSError: the bytes are no picture, or break off.
        ValueError: the picture has more pixels than PIL's limit against decompression bombs.
    """
    picture = Image.open(io.BytesIO(raw)) if isinstance(raw, bytes) else raw
    if Image.MAX_IMAGE_PIXELS and picture.width * picture.height > Image.MAX_IMAGE_PIXELS:
        raise ValueError(f"{picture.width}×{picture.height} pixels are more than {Image.MAX_IMAGE_PIXELS:,}")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in HIGH_BIT_MODES:  # PIL would clip 16 bits at 255 instead of scaling
        picture = Image.fromarray((np.asarray(picture, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))
    return picture.convert("RGB")


def decode_audio(raw: bytes | Waveform) -> Waveform:
    """Decode a sound to mono: soundfile first, torchcodec for what soundfile cannot read.

    Raises:
        ValueError: nothing can read the bytes, or they hold no samples.
    """
    wave = raw if isinstance(raw, Waveform) else _decode_bytes(raw)
    if wave.samples.size == 0:
        raise ValueError("the sound holds no samples")
    return wave


def _decode_bytes(raw: bytes) -> Waveform:
    try:
        samples, rate = soundfile.read(io.BytesIO(raw), dtype="float32", always_2d=True)
        return Waveform(samples.mean(axis=1), int(rate))
    except soundfile.LibsndfileError as error:
        return _decode_with_torchcodec(raw, error)


def _decode_with_torchcodec(raw: bytes, reason: Exception) -> Waveform:
    try:
        from torchcodec.decoders import AudioDecoder  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError, RuntimeError):  # OSError and RuntimeError: FFmpeg or CUDA libraries are missing
        raise ValueError(f"soundfile: {reason}; torchcodec, which reads more formats, is not usable here") from reason
    decoded = AudioDecoder(raw).get_all_samples()
    return Waveform(decoded.data.mean(dim=0).numpy(), int(decoded.sample_rate))


def resample(wave: Waveform, sample_rate: int) -> Waveform:
    """The same sound at another rate, by soxr at its high quality."""
    if wave.sample_rate == sample_rate:
        return wave
    return Waveform(soxr.resample(wave.samples, wave.sample_rate, sample_rate), sample_rate)


def clean_text(raw: str) -> str:
    """A caption without NUL bytes, which tokenizers stop at, and without outer white space.

    Raises:
        ValueError: nothing is left.
    """
    text = raw.replace("\0", " ").strip()
    if not text:
        raise ValueError("the text is empty")
    return text


DECODERS: dict[str, Callable[[Raw], Content]] = {
    "image": decode_image,
    "audio": decode_audio,
    "text": clean_text,
}
