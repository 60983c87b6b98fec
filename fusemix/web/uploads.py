"""Pictures and sounds that strangers send: what they state of themselves is checked before they are decoded.

Place in the flow: bytes of an upload -> what it decodes to (Load) -> RGB picture or Waveform, decoded as in caching.
Formats that hold programs, pages or other files (SVG, PostScript, PDF, HTML, ZIP) are no pictures here.
"""

import io

import soundfile
from PIL import Image

from fusemix.contents import Waveform
from fusemix.datasets.endings import PICTURES, SOUNDS
from fusemix.encoders.decoding import decode_audio, decode_image, sounds_of
from fusemix.encoders.heif import HEIF, open_picture, readable
from fusemix.errors import first_line
from fusemix.web.answers import Refusal
from fusemix.web.budget import MOST, MOST_MEGAPIXELS, MOST_MINUTES, Load

SHORTEST_SIDE = 1024
"""Of large pictures, which are read smaller: more than encoders look at."""


def picture_load(raw: bytes) -> Load:
    """What a picture states to have.

    Raises:
        Refusal: 422, it is none of PICTURES and no HEIF, or is larger than one request may hold.
    """
    known = [name for name in (*PICTURES, HEIF) if name in readable()]
    try:
        with open_picture(raw, known) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise Refusal(422, f"the picture is too large; {MOST_MEGAPIXELS} million pixels are the most") from error
    except Exception as error:  # decoders of damaged files raise all kinds
        raise Refusal(422, f"the picture cannot be read; {', '.join(known)} are taken here") from error
    if width * height > MOST.pixels:
        raise Refusal(422, f"the picture has {width}×{height} pixels; {MOST_MEGAPIXELS} million are the most")
    return Load(pixels=width * height)


def read_picture(raw: bytes) -> Image.Image:
    """Decode a picture; one that is much larger than SHORTEST_SIDE gets smaller on the way.

    Raises:
        Refusal: 422, it is none of PICTURES and no HEIF, is damaged, or is larger than one request may hold.
    """
    picture_load(raw)
    try:
        return decode_image(raw, SHORTEST_SIDE)
    except Exception as error:
        raise Refusal(422, f"the picture cannot be read: {reason(error)}") from error


def sound_load(raw: bytes) -> Load:
    """What a sound states to have.

    Raises:
        Refusal: 422, it is none of SOUNDS, is damaged, or is longer than one request may hold.
    """
    load = Load()
    for part in _sounds(raw):
        try:
            stated = soundfile.info(io.BytesIO(part))
        except Exception as error:
            raise Refusal(422, f"the sound cannot be read; {', '.join(SOUNDS)} are taken here") from error
        if stated.format not in SOUNDS:
            raise Refusal(422, f"the sound cannot be read; {', '.join(SOUNDS)} are taken here")
        seconds = stated.frames / max(stated.samplerate, 1)
        load = load.plus(Load(seconds=seconds, samples=stated.frames * stated.channels))
    if not load.fits(MOST):
        raise Refusal(422, f"the sound is too long; {MOST_MINUTES} minutes in stereo at 48 kHz are the most")
    return load


def _sounds(raw: bytes) -> list[bytes]:
    try:
        return sounds_of(raw) if raw else [raw]
    except Exception as error:
        raise Refusal(422, f"the sound cannot be read: {reason(error)}") from error


def read_sound(raw: bytes) -> Waveform:
    """Decode a sound.

    Raises:
        Refusal: 422, it is none of SOUNDS, is damaged, or is longer than one request may hold.
    """
    load = sound_load(raw)
    try:
        # What does not know how long it is may decode to more than it states.
        return decode_audio(raw, max(int(load.samples), 1))
    except Exception as error:
        raise Refusal(422, f"the sound cannot be read: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What a decoder said first, and no more of it than a person reads."""
    return first_line(error)[:200]
