"""What a camera wrote into a picture: when it was taken, and by which camera. Pixels are not looked at.

Place in the flow: an opened file -> Exif.

The file may be anybody's: of each at most MOST_BYTES and MOST_PARTS parts are read, and one that is damaged, or says
something impossible, says nothing. JPEG, PNG, WebP, HEIC and AVIF are read (Exif 2.32, sections 4.5 and 4.6).
"""

import re
import struct
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from fusemix.encoders.boxes import File, exif_in_boxes

MOST_BYTES = 1 << 16
"""Of Exif: a segment of JPEG holds no more."""
MOST_PARTS = 200
"""Segments and chunks that are passed over on the way, and entries that are looked at."""
LONGEST = 100
"""Letters of a camera's name."""
MAKE, MODEL, EXIF_AT, TAKEN = 0x010F, 0x0110, 0x8769, 0x9003
TEXT, LONG = 2, 4
BEGINS = b"Exif\0\0"
WHEN = "%Y:%m:%d %H:%M:%S"


class Exif(NamedTuple):
    """When a picture was taken, by the clock of its camera, and by which one; None where it does not say."""

    taken: datetime | None = None
    camera: str | None = None


def exif_of(file: File) -> Exif:
    """What a picture says; nothing where it is none, or damaged.

    Args:
        file: opened, at its beginning.
    """
    try:
        raw = _block(file)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(raw[:4])
        if order is None:
            return Exif()
        (first,) = struct.unpack_from(f"{order}I", raw, 4)
        said = dict(_entries(raw, order, first))
        more = said.get(EXIF_AT)
        deeper = dict(_entries(raw, order, more)) if isinstance(more, int) else {}
        return Exif(_moment(deeper.get(TAKEN)), camera_of(said.get(MAKE), said.get(MODEL)))
    except (OSError, ValueError, struct.error, OverflowError):
        return Exif()


def camera_of(make: int | str | None, model: int | str | None) -> str | None:
    """The name of a camera, with its maker's where the model does not begin with it.

    Args:
        make, model: as Exif has them.
    """
    maker, name = (_tidy(one) if isinstance(one, str) else "" for one in (make, model))
    if not maker or not name:
        return maker or name or None
    is_named = name.split()[0].lower() == maker.split()[0].lower()
    return (name if is_named else f"{maker} {name}")[:LONGEST].strip()


def _tidy(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _moment(said: int | str | None) -> datetime | None:
    try:
        return datetime.strptime(str(said)[:19], WHEN)
    except ValueError:
        return None


def _block(file: File) -> bytes:
    head = file.read(12)
    if head[:2] == b"\xff\xd8":
        file.seek(2)
        return _of_jpeg(file)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        file.seek(8)
        return _of_chunks(file, b"eXIf", ">", name_first=False, rest=4)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return _of_chunks(file, b"EXIF", "<", name_first=True, rest=0)
    if head[4:8] == b"ftyp":
        file.seek(0)
        return exif_in_boxes(file, MOST_BYTES)
    return b""


def _of_jpeg(file: File) -> bytes:
    for _ in range(MOST_PARTS):
        mark, kind, size = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF or kind == 0xDA or size < 2:  # 0xDA: pixels begin
            return b""
        if kind == 0xE1:
            content = file.read(size - 2)
            if content.startswith(BEGINS):
                return content[len(BEGINS) :]
        else:
            file.seek(size - 2, 1)
    return b""


def _of_chunks(file: File, wanted: bytes, order: str, *, name_first: bool, rest: int) -> bytes:
    """Of PNG and WebP: chunks with a name and a size, in either order; `rest` bytes follow the content."""
    for _ in range(MOST_PARTS):
        head = file.read(8)
        name, size = (head[:4], head[4:]) if name_first else (head[4:], head[:4])
        (num_bytes,) = struct.unpack(f"{order}I", size)
        if name == wanted:
            return file.read(min(num_bytes, MOST_BYTES)).removeprefix(BEGINS)
        file.seek(num_bytes + rest + (num_bytes % 2 if name_first else 0), 1)
    return b""


def _entries(raw: bytes, order: str, at: int) -> Iterator[tuple[int, int | str]]:
    """Tags of one directory with what they hold, as far as it is a text or a number."""
    (count,) = struct.unpack_from(f"{order}H", raw, at)
    for place in range(min(count, MOST_PARTS)):
        tag, kind, size, value = struct.unpack_from(f"{order}HHII", raw, at + 2 + 12 * place)
        if kind == LONG and size == 1:
            yield tag, value
        elif kind == TEXT:
            begins = at + 2 + 12 * place + 8 if size <= 4 else value
            text = raw[begins : begins + min(size, 4 * LONGEST)]
            yield tag, re.split(b"\0", text, maxsplit=1)[0].decode("utf-8", "replace")
