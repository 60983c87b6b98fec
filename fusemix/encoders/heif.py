"""HEIC and other HEIF files, as telephones write them: pillow-heif opens them, where it is installed.

Place in the flow: bytes of a file -> a picture that is opened and not decoded; pictures.py and the server open so.
Not here: their EXIF (boxes.py). AVIF, which has the same boxes, is read by PIL itself.
"""

from contextlib import suppress
from functools import cache
from importlib import import_module
from io import BytesIO

from PIL import Image

from fusemix.parts.extras import install, packages_of

HEIF, EXTRA, PACKAGE = "HEIF", "heic", "pillow-heif"
CODED = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
ANY_CODED, AV1 = frozenset((b"mif1", b"msf1")), frozenset((b"avif", b"avis"))
"""Brands (ISO/IEC 23008-12, annex B); those of the second line leave open what their pictures are coded by."""
MOST_BRANDS = 32


def open_picture(raw: bytes, formats: list[str] | None = None) -> Image.Image:
    """A picture whose header is read; `Image.open` for bytes, which knows HEIF, too.

    Args:
        raw: of a file.
        formats: by PIL's names; None takes all.

    Raises:
        ValueError: it is HEIF, and the package for that is not there.
        Exception: whatever PIL raises.
    """
    if is_heif(raw):
        _register()
    return Image.open(BytesIO(raw), formats=formats)


def is_heif(raw: bytes) -> bool:
    """Whether bytes begin as HEIF, and not as AVIF."""
    if raw[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(raw[:4], "big"), 16 + 4 * MOST_BRANDS)
    others = {raw[at : at + 4] for at in range(16, end, 4)}
    return raw[8:12] in CODED or (raw[8:12] in ANY_CODED and not others & AV1)


def readable() -> set[str]:
    """Formats that can be opened here, by PIL's names; HEIF among them where its package is installed."""
    with suppress(ValueError):
        _register()
    return set(Image.registered_extensions().values())


@cache
def _register() -> None:
    try:
        package = import_module("pillow_heif")
    except ImportError as error:
        needed = install(packages_of(EXTRA) or [PACKAGE])
        raise ValueError(f"HEIC pictures are read with the extra {EXTRA}. Install it with: {needed}") from error
    # A file's own thumbnail may show something else, and would be taken where less than the whole picture is wanted.
    package.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
