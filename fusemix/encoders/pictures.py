"""From the bytes of a file to a picture in RGB, whatever its depth and kind of colour.

Place in the flow: Raw -> decode_image -> PIL picture; decoding.py calls it.
Not here: sizes, crops and scales, which belong to an encoder.
"""

import io
import warnings
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from fusemix.contents import Raw
from fusemix.encoders.heif import open_picture
from fusemix.encoders.scans import num_scans

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I", "F")
"""Modes of PIL whose values go beyond 255 or lie in [0, 1], which PIL itself would clip."""

HOW_GREY, WHITE_IS_ZERO = 262, 0
"""TIFF's PhotometricInterpretation, and its value where greater numbers are darker: PIL turns 8 bits about alone."""

GREY, RGB = 0, 2
"""Kinds of colour in the header of a PNG."""

LONGEST_SIDES = 200
"""Most widths in a height, or heights in a width. Resizing the shorter side of 1×20000 to 256 would take 5 GB."""

MOST_SCANS = 100
"""Of a JPEG file. Usual ones have ten at most; each takes a pass over all pixels, however few bytes it has."""

STRIP_PIXELS = 1 << 20
"""What is computed with numbers or a second picture is done in strips of so many pixels, to take little memory."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes a picture upright."""

# PIL warns on large pictures, broken EXIF blocks and odd palettes; each case is decided here. Once and last in
# the list of filters: a filter for each picture would not be safe in threads, and -W still has the last word.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)


def decode_image(raw: Raw, shortest: int | None = None, *, least_side: int | None = None) -> Image.Image:
    """Decode a picture to RGB, upright as its EXIF data says; of an animation or many pages the first.

    Transparent parts show white, 16 bits are scaled to 8, floats are read as 0 to 1, and colour
    profiles are passed over. A broken EXIF block counts as none.

    Args:
        raw: the bytes of a file, or a PIL picture, which is left as it is.
        shortest: a picture that is much larger is read at a half, a third, and so on, where no side gets shorter than
            this many pixels: it takes less time and memory. None keeps its size.
        least_side: the same for the file of a JPEG alone, at 1/2, 1/4 or 1/8, which its own decoder does.

    Raises:
        OSError: the bytes are no picture, break off, or do not fit their checksums.
        ValueError: there are no bytes; the picture has more pixels than PIL's limit against decompression
            bombs, or is too long and thin; a JPEG has more than MOST_SCANS scans; or numbers have no known white.
        Image.DecompressionBombError: it has more than twice as many.
        TypeError: `raw` is something else.
    """
    picture = _open_picture(raw) if isinstance(raw, bytes) else raw
    if not isinstance(picture, Image.Image):
        raise TypeError(f"a picture must be the bytes of a file or a PIL image, not {type(raw).__name__}")
    _check_size(*picture.size)
    if least := shortest or (least_side if isinstance(raw, bytes) else None):
        picture.draft(None, (least, least))
    if isinstance(raw, bytes) and picture.format == "PNG" and "transparency" in picture.info:
        picture = _with_whole_key(picture, raw)
    falls = isinstance(picture, TiffImageFile) and picture.tag_v2.get(HOW_GREY) == WHITE_IS_ZERO
    rgb = _reduced(_in_rgb(_scaled(_upright(picture), falls=falls)), shortest)
    rgb.info.clear()  # so that nothing turns it or reads its transparency again
    return rgb


def _open_picture(raw: bytes) -> Image.Image:
    if not raw:
        raise ValueError("the file is empty")
    picture = open_picture(raw)
    if picture.format == "EPS":
        raise ValueError("PostScript is a program, and programs of strangers are not run")
    if (scans := num_scans(raw)) > MOST_SCANS:
        raise ValueError(f"the JPEG file is made of {scans:,} scans, where {MOST_SCANS} are the most")
    if picture.format != "PNG":
        return picture
    try:
        picture.verify()  # decoding compares no checksum of a chunk, and one flipped bit in 70 would pass
    except SyntaxError as error:
        raise OSError(str(error)) from error
    return open_picture(raw)


def _with_whole_key(picture: Image.Image, raw: bytes) -> Image.Image:
    """Make the transparent value of a PNG fit its pixels, which PIL scales to 8 bits or cuts to them.

    All bits of a value decide (PNG specification, third edition, 11.3.1.1), also those that are cut. Grey of
    16 bits keeps them all until `_scaled`.
    """
    depth, colour, key = raw[24], raw[25], picture.info["transparency"]
    if colour == GREY and depth in (2, 4, 8):
        picture.info["transparency"] = (key % (1 << depth)) * 255 // ((1 << depth) - 1)
    elif colour == RGB and depth == 16:
        alpha = Image.new("L", picture.size)
        for (top, high), (_, low) in zip(_strips(picture), _strips(_low_bytes(raw)), strict=True):
            is_key = (np.asarray(high) == np.array(key) >> 8) & (np.asarray(low) == np.array(key) & 255)
            alpha.paste(_opaque_but(is_key.all(axis=2)), (0, top))
        del picture.info["transparency"]
        picture.putalpha(alpha)
    return picture


def _opaque_but(is_key: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(is_key, 0, 255).astype(np.uint8))


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Rows of a picture that have about STRIP_PIXELS, each with the number of its first."""
    step = max(1, STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, step):
        yield top, picture.crop((0, top, picture.width, min(top + step, picture.height)))


def _low_bytes(raw: bytes) -> Image.Image:
    """The low bytes of a PNG of 16-bit colours, of which PIL takes the high ones: read as if they came first."""
    picture = Image.open(io.BytesIO(raw))
    picture.tile = [tile._replace(args="RGB;16L") for tile in picture.tile]
    picture.load()
    return picture


def _check_size(width: int, height: int) -> None:
    if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
        raise ValueError(f"{width}×{height} pixels are more than {Image.MAX_IMAGE_PIXELS:,}")
    if max(width, height) > LONGEST_SIDES * min(width, height):
        raise ValueError(f"{width}×{height} pixels: one side is more than {LONGEST_SIDES} times the other")


def _upright(picture: Image.Image) -> Image.Image:
    picture.load()  # before the EXIF data is read: a TIFF turns itself while it is loaded
    try:
        turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # PIL raises all kinds of errors on a broken EXIF block
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _scaled(picture: Image.Image, *, falls: bool) -> Image.Image:
    if picture.mode not in DEEP_MODES:
        return picture
    white, key = 1 if picture.mode == "F" else 65535, picture.info.get("transparency")
    ends = np.array([(values.min(), values.max()) for _, values in _numbers(picture)])
    least, most = ends[:, 0].min(), ends[:, 1].max()
    if not (least >= 0 and most <= white):  # also where a value is NaN
        raise ValueError(f"pixels from {least:g} to {most:g} where 0 is black and {white} is white")
    grey = Image.new("LA" if isinstance(key, int) else "L", picture.size)
    for top, values in _numbers(picture):
        strip = Image.fromarray(np.rint((white - values if falls else values) * (255 / white)).astype(np.uint8))
        if isinstance(key, int):
            strip.putalpha(_opaque_but(values == key))
        grey.paste(strip, (0, top))
    return grey


def _numbers(picture: Image.Image) -> Iterator[tuple[int, Float64[np.ndarray, "height width"]]]:
    for top, strip in _strips(picture):
        yield top, np.asarray(strip, dtype=np.float64)


def _in_rgb(picture: Image.Image) -> Image.Image:
    """A picture of its own; what is transparent shows white."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgb = Image.new("RGB", picture.size)
    for top, strip in _strips(picture):
        shown = strip.convert("RGBA")
        rgb.paste(Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB"), (0, top))
    return rgb


def _reduced(rgb: Image.Image, shortest: int | None) -> Image.Image:
    factor = min(rgb.size) // shortest if shortest else 1
    return rgb.reduce(factor) if factor > 1 else rgb
