"""Tags before and behind a sound, which say who plays it: ID3 and APE.

Place in the flow: bytes of a file -> where its sound begins and ends; joined.py and stated_length.py.
"""

import re

FLAC_BEGINS = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
ID3V1_BYTES, APE_FOOTER_BYTES = 128, 32
APE_HAS_HEADER = 1 << 31


def id3_bytes(raw: bytes, at: int) -> int:
    """Length of a tag: seven bits in each of four bytes, and ten for its header and its footer (id3.org, ID3v2.4)."""
    if raw[at : at + 3] != b"ID3" or at + 10 > len(raw):
        return 0
    size = sum(byte << shift for byte, shift in zip(raw[at + 6 : at + 10], (21, 14, 7, 0), strict=True))
    return size + (20 if raw[at + 5] & 0x10 else 10)


def behind_tags(raw: bytes, at: int) -> int:
    """Where the sound begins that stands behind any number of tags."""
    while at < len(raw) and (skipped := id3_bytes(raw, at)):
        at += skipped
    return at


def without_tags_behind(raw: bytes) -> bytes:
    """A file without the tags at its end: ID3v1, APE, and ID3v2."""
    while cut := _tag_behind(raw):
        raw = raw[:-cut]
    return raw


def _tag_behind(raw: bytes) -> int:
    if raw[-ID3V1_BYTES:].startswith(b"TAG"):
        return ID3V1_BYTES
    footer = raw[-APE_FOOTER_BYTES:]
    if footer.startswith(b"APETAGEX"):  # its size counts the footer, and no header
        size = int.from_bytes(footer[12:16], "little")
        has_header = int.from_bytes(footer[20:24], "little") & APE_HAS_HEADER
        return min(size + (APE_FOOTER_BYTES if has_header else 0), len(raw))
    at = raw.rfind(b"ID3")
    return len(raw) - at if at > 0 and at + id3_bytes(raw, at) == len(raw) else 0
