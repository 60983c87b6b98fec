"""How many samples a FLAC file holds that does not say so: the number and size of its last frame.

Place in the flow: bytes of a file -> number of samples; joined.py writes it into the header.
Source: RFC 9639, sections 8.2 and 9.1.
"""

FIXED_SIZES = {1: 192, **{code: 576 << (code - 2) for code in range(2, 6)}, **{c: 256 << (c - 8) for c in range(8, 16)}}
"""Code in a frame's header -> samples in it; codes 6 and 7 are followed by the number."""


def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << (bits - 8)
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> (bits - 1) else 0)
            crc &= (1 << bits) - 1
        table.append(crc)
    return table


CRC_8, CRC_16 = _table(0x07, 8), _table(0x8005, 16)


def _crc_8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = CRC_8[crc ^ byte]
    return crc


def _crc_16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = crc << 8 & 0xFFFF ^ CRC_16[crc >> 8 ^ byte]
    return crc


def flac_samples(raw: bytes) -> int | None:
    """Samples of each channel, or None where the last frame is not whole.

    Args:
        raw: a file that begins with `fLaC` and ends with its last frame.
    """
    at = len(raw)
    while (at := raw.rfind(b"\xff", 42, at)) >= 0:
        if at + 1 < len(raw) and raw[at + 1] & 0xFE == 0xF8:
            end = _end_of_frame_header(raw, at)
            if end is not None and _crc_16(raw[at:-2]) == int.from_bytes(raw[-2:], "big"):
                return end
    return None


def _end_of_frame_header(raw: bytes, at: int) -> int | None:
    """Samples up to the end of the frame that begins at `at`, or None where none does."""
    header = raw[at : at + 16]
    if len(header) < 6:
        return None
    first = header[4]
    more = 0 if first < 0x80 else 7 - (~first & 0xFF).bit_length()  # further bytes of a number written as in UTF-8
    number = first if first < 0x80 else first & ((1 << max(6 - more, 0)) - 1)
    for byte in header[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    place, code = 5 + more, header[2] >> 4
    size_bytes, rate_bytes = {6: 1, 7: 2}.get(code, 0), {12: 1, 13: 2, 14: 2}.get(header[2] & 0x0F, 0)
    size = FIXED_SIZES.get(code) or 1 + int.from_bytes(header[place : place + size_bytes], "big")
    check = place + size_bytes + rate_bytes
    if check >= len(header) or _crc_8(header[:check]) != header[check]:
        return None
    has_sample_number = header[1] & 1
    return (number if has_sample_number else number * int.from_bytes(raw[8:10], "big")) + size
