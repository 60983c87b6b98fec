"""The EXIF block of HEIC and AVIF files, which are made of boxes (ISO/IEC 14496-12); pixels are not looked at.

Place in the flow: an opened file -> the block, as exif.py reads it from any picture.

The file may be anybody's: MOST_META bytes about its items are read, and of these the first extent of one. What is
damaged raises one of the errors that `exif_of` takes for nothing said.
"""

import io
import struct
from collections.abc import Iterator
from typing import IO

MOST_META, MOST_ITEMS, MOST_BEFORE = 1 << 18, 4_000, 16
"""Of a file: bytes about its items, such as the tiles of a picture; the items; and boxes before these bytes."""
METHOD_FILE = 0
"""An item lies at a place in the file."""
File = IO[bytes] | io.BufferedIOBase | io.RawIOBase


def exif_in_boxes(file: File, most_bytes: int) -> bytes:
    """The TIFF structure of the first item that is EXIF; empty where there is none.

    Args:
        file: opened, at its beginning.
        most_bytes: that are read of it.

    Raises:
        ValueError, struct.error, OSError, OverflowError: it is damaged.
    """
    about = dict(_boxes(_meta(file)))
    item = _exif_item(about.get(b"iinf", b""))
    place = None if item is None else _place_of(item, about.get(b"iloc", b""))
    if place is None:
        return b""
    file.seek(place[0])
    block = file.read(min(place[1], most_bytes))
    (skipped,) = struct.unpack_from(">I", block)  # ISO/IEC 23008-12, A.2.1
    return block[4 + skipped :]


def _meta(file: File) -> bytes:
    """What the box says that describes all items."""
    for _ in range(MOST_BEFORE):
        size, kind = struct.unpack(">I4s", file.read(8))
        left = size - 8
        if size == 1:  # its size is a number of 64 bits
            left = struct.unpack(">Q", file.read(8))[0] - 16
        if left < 0:
            return b""
        if kind == b"meta":
            return file.read(min(left, MOST_META))[4:]
        file.seek(left, 1)
    return b""


def _boxes(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Boxes one after another: kind and content."""
    at = 0
    while at + 8 <= len(raw):
        size, kind = struct.unpack_from(">I4s", raw, at)
        if size < 8:
            return
        yield kind, raw[at + 8 : at + size]
        at += size


def _exif_item(iinf: bytes) -> int | None:
    """The number of the item that is EXIF."""
    for _, entry in _boxes(iinf[6 if iinf[:1] == b"\0" else 8 :]):
        stream = io.BytesIO(entry)
        version = _number(stream, 4) >> 24
        item = _number(stream, 4 if version == 3 else 2)
        if version >= 2 and entry[stream.tell() + 2 : stream.tell() + 6] == b"Exif":
            return item
    return None


def _place_of(wanted: int, iloc: bytes) -> tuple[int, int] | None:
    """Where in the file the first extent of an item begins, and its bytes; None where it is not in the file."""
    stream = io.BytesIO(iloc)
    version, sizes = _number(stream, 4) >> 24, _number(stream, 2)
    of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    of_index = of_index if version else 0
    of_item = 4 if version == 2 else 2
    for _ in range(min(_number(stream, of_item), MOST_ITEMS)):
        item = _number(stream, of_item)
        method = _number(stream, 2) & 15 if version else METHOD_FILE
        _number(stream, 2)
        base, count = _number(stream, of_base), _number(stream, 2)
        if item == wanted:
            _number(stream, of_index)
            first, length = _number(stream, of_offset), _number(stream, of_length)
            return (base + first, length) if method == METHOD_FILE else None
        stream.seek(count * (of_index + of_offset + of_length), 1)
    return None


def _number(stream: io.BytesIO, size: int) -> int:
    raw = stream.read(size)
    if len(raw) < size:
        raise ValueError("a box breaks off")
    return int.from_bytes(raw, "big")
