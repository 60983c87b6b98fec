"""How many scans a JPEG file is made of: each takes a pass over all pixels, and may have next to no bytes.

Place in the flow: bytes of a file -> number -> decode_image, before anything is decoded.
Layout: ITU-T T.81, annex B.
"""

import re

JPEG = b"\xff\xd8\xff"
MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""What ends the numbers of a scan: anything but a stuffed zero and the markers RST0 to RST7, which stand among them."""
END, START_OF_SCAN = 0xD9, 0xDA
ALONE = (0x01, 0xD8)
"""Markers without a segment: TEM and SOI."""


def num_scans(raw: bytes) -> int:
    """Scans before the end of the first picture; 0 where this is no JPEG file."""
    scans, at = 0, 2 if raw.startswith(JPEG) else len(raw)
    while (found := MARKER.search(raw, at)) and (kind := found[1][0]) != END:
        scans += kind == START_OF_SCAN
        segment = 0 if kind in ALONE else int.from_bytes(raw[found.end() : found.end() + 2], "big")
        at = found.end() + segment
    return scans
