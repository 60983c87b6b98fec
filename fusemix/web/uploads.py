"""Pictures and sounds that strangers send: what they state of themselves is checked before they are decoded.

Place in the flow: bytes of an upload -> RGB picture or Waveform, by the same decoding as in caching.
Formats that hold programs, pages or other files (SVG, PostScript, PDF, HTML, ZIP) are no pictures here.
"""

import io

import soundfile
from PIL import Image

from fusemix.encoders.decoding import decode_audio, decode_image
from fusemix.interfaces import Waveform
from fusemix.web.answers import Refusal

PICTURES = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SOUNDS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF")
"""Formats by the names of libsndfile."""
MOST_MEGAPIXELS = 64
MOST_MINUTES = 10
MOST_SAMPLES = MOST_MINUTES * 60 * 48_000 * 2
"""Samples over all channels: the longest sound in stereo at 48 kHz. A FLAC file of a few kB may state hours."""


def read_picture(raw: bytes) -> Image.Image:
    """Decode a picture.

    Raises:
        Refusal: 422, it is none of PICTURES, is damaged, or is larger than MOST_MEGAPIXELS.
    """
    known = [name for name in PICTURES if name in set(Image.registered_extensions().values())]
    try:
        with Image.open(io.BytesIO(raw), formats=known) as picture:
            width, height = picture.size
    except Exception as error:  # decoders of damaged files raise all kinds
        raise Refusal(422, f"the picture cannot be read; {', '.join(known)} are taken here") from error
    if width * height > MOST_MEGAPIXELS * 1_000_000:
        raise Refusal(422, f"the picture has {width}×{height} pixels; {MOST_MEGAPIXELS} million are the most")
    try:
        return decode_image(raw)
    except Exception as error:
        raise Refusal(422, f"the picture cannot be read: {_reason(error)}") from error


def read_sound(raw: bytes) -> Waveform:
    """Decode a sound.

    Raises:
        Refusal: 422, it is none of SOUNDS, is damaged, or is longer than MOST_MINUTES or MOST_SAMPLES.
    """
    try:
        stated = soundfile.info(io.BytesIO(raw))
    except Exception as error:
        raise Refusal(422, f"the sound cannot be read; {', '.join(SOUNDS)} are taken here") from error
    if stated.format not in SOUNDS:
        raise Refusal(422, f"the sound cannot be read; {', '.join(SOUNDS)} are taken here")
    if stated.frames > MOST_MINUTES * 60 * stated.samplerate or stated.frames * stated.channels > MOST_SAMPLES:
        raise Refusal(422, f"the sound is too long; {MOST_MINUTES} minutes in stereo at 48 kHz are the most")
    try:
        return decode_audio(raw)
    except Exception as error:
        raise Refusal(422, f"the sound cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line of what a decoder said, and no more of it than a person reads."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]
