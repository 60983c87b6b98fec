"""Odd, broken and hostile pictures, and what must become of each."""

import functools
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from bad_outcomes import Decoded, File, SetAside, cut
from PIL import Image, ImageCms

SIZE = (48, 32)
RATE = 16000


def scene() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def shown(raw: bytes | Image.Image, value: Any, within: float = 0, size: tuple[int, int] = SIZE) -> File:
    return File(saved(raw, "PNG") if isinstance(raw, Image.Image) else raw, Decoded(size, value, within))


@functools.cache
def pictures() -> dict[str, File]:
    jpeg, png, pixels = saved(scene(), "JPEG", quality=95), saved(scene(), "PNG"), np.asarray(scene())
    as_jpeg = np.asarray(Image.open(io.BytesIO(jpeg)))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return {
        "whole.jpg": shown(jpeg, as_jpeg),
        "png-named.jpg": shown(png, pixels),
        "jpeg-named.png": shown(jpeg, as_jpeg),
        "without-ending": shown(png, pixels),
        "plain.bmp": shown(saved(scene(), "BMP"), pixels),
        "plain.webp": shown(saved(scene(), "WEBP", lossless=True), pixels),
        "profile.png": shown(saved(scene(), "PNG", icc_profile=srgb), pixels),
        "profile-broken.png": shown(saved(scene(), "PNG", icc_profile=b"no profile at all"), pixels),
        "palette.png": shown(scene().quantize(8), np.asarray(scene().quantize(8).convert("RGB"))),
        "one-pixel.png": shown(Image.new("RGB", (1, 1), "red"), (255, 0, 0), size=(1, 1)),
        "wide.png": shown(Image.new("L", (20000, 300), 7), (7, 7, 7), size=(20000, 300)),
        "text.jpg": File(b"<html><body>404 Not Found</body></html>", SetAside("cannot identify image file")),
        "empty.jpg": File(b"", SetAside("the file is empty")),
        "program.eps": File(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", SetAside("PostScript is a program")),
        "row.png": File(saved(Image.new("RGB", (20000, 1)), "PNG"), SetAside("20000×1 pixels: one side is more")),
        "column.png": File(saved(Image.new("RGB", (1, 20000)), "PNG"), SetAside("1×20000 pixels: one side is more")),
        **_inks(),
        **_first_of_several(),
        **_turned(),
        **_transparent(),
        **_deep(),
        **_keyed(),
        **_broken(jpeg, png),
        **_too_large(),
    }


def _inks() -> dict[str, File]:
    """PIL writes CMYK as Adobe does, inverted and so marked; without the mark the same is assumed."""
    red = saved(Image.new("CMYK", SIZE, (0, 255, 255, 0)), "JPEG", quality=95)
    mark = red.index(b"\xff\xee")
    without = red[:mark] + red[mark + 2 + int.from_bytes(red[mark + 2 : mark + 4], "big") :]
    return {
        "cmyk-adobe.jpg": shown(red, (255, 0, 0), 2),
        "cmyk-unmarked.jpg": shown(without, (255, 0, 0), 2),
        "cmyk.tif": shown(saved(Image.new("CMYK", SIZE, (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    }


def _first_of_several() -> dict[str, File]:
    first, *others = [Image.new("RGB", SIZE, colour) for colour in ("red", "lime", "blue")]
    kinds = {"animated.gif": "GIF", "animated.webp": "WEBP", "animated.png": "PNG", "pages.tif": "TIFF"}
    several = {"save_all": True, "append_images": others}
    return {name: shown(saved(first, kind, **several), (255, 0, 0), 2) for name, kind in kinds.items()}


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: upright[::-1, ::-1],
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: np.rot90(upright, -1),
}
"""EXIF orientation -> how a camera that was held so stores an upright scene."""


def _turned() -> dict[str, File]:
    pixels, files = np.asarray(scene()), {}
    for number, stored in STORED.items():
        image = Image.fromarray(np.ascontiguousarray(stored(pixels)))
        exif = Image.Exif()
        exif[0x0112] = number
        files[f"turned-{number}.png"] = shown(saved(image, "PNG", exif=exif), pixels)
        files[f"turned-{number}.webp"] = shown(saved(image, "WEBP", lossless=True, exif=exif), pixels)
        files[f"turned-{number}.tif"] = shown(saved(image, "TIFF", exif=exif), pixels)
        files[f"turned-{number}.jpg"] = shown(saved(image, "JPEG", quality=95, subsampling=0, exif=exif), pixels, 12)
    blocks = {
        "garbage": b"Exif\0\0this is no block of tags",
        "cut": b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03\0\0\0\x01",
        "beyond": b"Exif\0\0MM\0*\xff\xff\xff\x08",
        "word": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02up\0\0\0\0\0\0",
        "nine": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0",
    }
    for name, block in blocks.items():
        files[f"exif-{name}.png"] = shown(saved(scene(), "PNG", exif=block), pixels)
        files[f"exif-{name}.jpg"] = shown(saved(scene(), "JPEG", quality=95, subsampling=0, exif=block), pixels, 12)
    return files


def _transparent() -> dict[str, File]:
    half = Image.new("RGBA", SIZE, (0, 80, 200, 128))
    logo = Image.new("RGBA", SIZE, (0, 0, 0, 0))  # black on transparent black, as logos are
    logo.paste((0, 0, 0, 255), (0, 0, 9, SIZE[1]))
    on_white = np.full((SIZE[1], SIZE[0], 3), 255, dtype=np.uint8)
    on_white[:, :9] = 0
    palette = Image.new("P", SIZE, 1)
    palette.putpalette([10, 20, 30, 200, 100, 0])
    clear, white = {"transparency": 1}, (255, 255, 255)
    levels = {"transparency": bytes([255, 128])}
    grey = Image.new("L", SIZE, 90)
    return {
        "half.png": shown(half, (127, 167, 227), 1),
        "logo.png": shown(logo, on_white),
        "logo.webp": shown(saved(logo, "WEBP", lossless=True), on_white),
        "opaque.png": shown(scene().convert("RGBA"), np.asarray(scene())),
        "grey-half.png": shown(Image.new("LA", SIZE, (100, 51)), (224, 224, 224), 1),
        "palette-opaque.png": shown(palette, (200, 100, 0)),
        "palette-clear.png": shown(saved(palette, "PNG", **clear), white),
        "palette-levels.png": shown(saved(palette, "PNG", **levels), (227, 177, 127), 1),
        "palette-clear.gif": shown(saved(palette, "GIF", **clear), white),
        "grey-clear.png": shown(saved(grey, "PNG", transparency=90), white),
        "colour-clear.png": shown(saved(Image.new("RGB", SIZE, (1, 2, 3)), "PNG", transparency=(1, 2, 3)), white),
    }


def _deep() -> dict[str, File]:
    deep = np.linspace(0, 65535, SIZE[0] * SIZE[1]).round().astype(np.uint16).reshape(SIZE[::-1])
    grey = np.stack([np.rint(deep / 257)] * 3, axis=2)
    unit = (deep / 65535).astype(np.float32)
    lit = np.stack([np.rint(unit.astype(np.float64) * 255)] * 3, axis=2)
    bits = Image.fromarray(deep > 30000)
    broken = unit.copy()
    broken[3, 4] = np.nan

    def tiff(values: np.ndarray) -> bytes:
        return saved(Image.fromarray(values), "TIFF")

    return {
        "bits.png": shown(bits, np.stack([(deep > 30000) * 255.0] * 3, axis=2)),
        "deep.png": shown(saved(Image.fromarray(deep), "PNG"), grey),
        "deep.tif": shown(tiff(deep), grey),
        "deep-in-32-bits.tif": shown(tiff(deep.astype(np.int32)), grey),
        "float.tif": shown(tiff(unit), lit),
        "float-255.tif": File(tiff(unit * 255), SetAside("pixels from 0 to 255 where 0 is black and 1 is white")),
        "float-nan.tif": File(tiff(broken), SetAside("pixels from nan to nan where 0 is black")),
        "negative.tif": File(tiff(deep.astype(np.int32) - 9), SetAside("pixels from -9 to 65526 where 0 is black")),
    }


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, kind: tuple[int, int, int], data: bytes) -> bytes:
    """A PNG whose header says what it likes; kind is bits, colour type and interlacing."""
    bits, colours, interlaced = kind
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _keyed() -> dict[str, File]:
    """One value that is transparent, in all depths of grey and colour: PNG compares all its bits.

    The left half is transparent; the right half is another value, in 16 bits one that differs in the lowest bit.
    """
    kinds = {
        "grey-1": (1, 0, b"\xff\x00" * 1, 1, (0, 0, 0)),
        "grey-2": (2, 0, b"\xaa\xaa\x55\x55", 2, (85, 85, 85)),
        "grey-4": (4, 0, b"\x77" * 4 + b"\x33" * 4, 7, (51, 51, 51)),
        "grey-8": (8, 0, b"\x07" * 8 + b"\x33" * 8, 7, (51, 51, 51)),
        "grey-16": (16, 0, struct.pack(">16H", *[0x8080] * 8, *[0x8081] * 8), 0x8080, (128, 128, 128)),
        "colour-8": (8, 2, b"\x01\x02\x03" * 8 + b"\x01\x02\x04" * 8, (1, 2, 3), (1, 2, 4)),
        "colour-16": (
            *(16, 2, struct.pack(">48H", *[1, 2, 0x8080] * 8, *[1, 2, 0x8081] * 8)),
            *((1, 2, 0x8080), (0, 0, 128)),
        ),
        "grey-alpha-16": (16, 4, struct.pack(">32H", *[9, 0] * 8, *[0x8080, 0xFFFF] * 8), None, (128, 128, 128)),
        "colour-alpha-16": (
            *(16, 6, struct.pack(">64H", *[9, 9, 9, 0] * 8, *[0, 0, 0x8080, 0xFFFF] * 8)),
            *(None, (0, 0, 128)),
        ),
    }
    files = {}
    for name, (bits, colours, row, key, other) in kinds.items():
        values = key if isinstance(key, tuple) else (key,)
        transparent = b"" if key is None else chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))
        whole = png_of(16, 4, (bits, colours, 0), zlib.compress((b"\0" + row) * 4))
        at = whole.index(b"IDAT") - 4
        pixels = np.full((4, 16, 3), 255)
        pixels[:, 8:] = other
        files[f"clear-{name}.png"] = shown(whole[:at] + transparent + whole[at:], pixels, size=(16, 4))
    return files


def _broken(jpeg: bytes, png: bytes) -> dict[str, File]:
    files = {f"cut-{share:.0%}.jpg": cut(jpeg, share, "[Tt]runcated") for share in (0.1, 0.5, 0.95)}
    files["cut-50%-progressive.jpg"] = cut(saved(scene(), "JPEG", progressive=True), 0.5, "truncated")
    files["cut-50%.png"] = cut(png, 0.5, "[Tt]runcated|broken")
    files["cut-end.png"] = File(png[:-12], SetAside("truncated PNG"))
    for kind in ("gif", "webp", "bmp", "tif"):
        whole = saved(scene(), {"tif": "TIFF"}.get(kind, kind.upper()))
        files[f"cut-50%.{kind}"] = cut(whole, 0.5, "truncated|could not create decoder|cannot identify")
    interlaced = png_of(4, 4, (8, 0, 1), zlib.compress(b"".join(bytes(1 + n) for n in (1, 1, 2, 2, 2, 4, 4))))
    files["interlaced.png"] = shown(interlaced, (0, 0, 0), size=(4, 4))
    files["cut-70%-interlaced.png"] = cut(interlaced, 0.7, "[Tt]runcated|broken")
    for name, at in (("header", png.index(b"IHDR") + 17), ("pixels", png.index(b"IEND") - 5)):
        damaged = bytearray(png)
        damaged[at] ^= 0xFF
        files[f"checksum-of-{name}.png"] = File(bytes(damaged), SetAside("broken PNG|cannot identify image file"))
    return files


def _too_large() -> dict[str, File]:
    """A header that lies, one above PIL's limit though below the double, and 400 million pixels in 50 kB."""
    white = zlib.compress(bytes(2501) * 20000, 1)
    return {
        "bomb-header.png": File(
            png_of(50000, 50000, (8, 2, 0), zlib.compress(bytes(99))), SetAside("2500000000 pixels")
        ),
        "bomb-small.png": File(png_of(9500, 9500, (1, 0, 0), white[:99]), SetAside("9500×9500 pixels are more than")),
        "bomb.png": File(png_of(20000, 20000, (1, 0, 0), white), SetAside("400000000 pixels")),
    }
