"""An MP3 file that does not state its length, with one frame in front that does.

Place in the flow: bytes of a file -> bytes that soundfile reads to the end; stated_length.py calls it.
Not here: where one stream ends and another begins (joined.py).

Without such a frame soundfile takes the length from the first frames' bit rate, and stops there: of a file of changing
bit rates whose beginning is loud it gives less than half.
Source: ISO/IEC 11172-3, 2.4.2.3, and 13818-3; the words `Xing`, `Info` and `VBRI` are of encoders.
"""

from typing import NamedTuple

LAYER_3 = 1
MPEG_1, RESERVED = 3, 1
"""Codes of versions."""
KILOBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
"""By code, in MPEG 1 and in MPEG 2 and 2.5; 0 is free, and 15 forbidden."""
HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
MONO = 3
ROOMY = 9
"""Code of a bit rate whose frames hold what is stated."""
HAS_FRAMES = 1
WORDS = (b"Xing", b"Info", b"VBRI")
WORD_WITHIN = 64
"""Bytes of a frame among which such a word stands."""


class Frame(NamedTuple):
    """What the four bytes before a frame say."""

    version: int
    rate: int
    num_bytes: int
    is_mono: bool


def frame_at(raw: bytes, at: int) -> Frame | None:
    """The frame of layer III that begins at a byte, or None where none does or its size is free."""
    head = raw[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] >> 1 & 3 != LAYER_3:
        return None
    version, bits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == RESERVED or bits in (0, 15) or rate == 3:
        return None
    hertz, kilobits = HERTZ[version][rate], KILOBITS[version != MPEG_1][bits]
    size = (144_000 if version == MPEG_1 else 72_000) * kilobits // hertz + (head[2] >> 1 & 1)
    return Frame(version, hertz, size, head[3] >> 6 == MONO)


def stating_frames(raw: bytes, start: int) -> bytes:
    """The same sound with a frame in front that states how many follow; as it is where its own first frame does.

    Args:
        raw: the file.
        start: where its first frame begins, behind tags.

    Raises:
        ValueError: it goes on at another rate.
    """
    first = frame_at(raw, start)
    if first is None or any(word in raw[start : start + WORD_WITHIN] for word in WORDS):
        return raw
    return raw[:start] + _stating(raw, start, first, _num_frames(raw, start, first)) + raw[start:]


def _stating(raw: bytes, start: int, first: Frame, num_frames: int) -> bytes:
    """A frame that no decoder plays, without a checksum of its own."""
    rate, last = raw[start + 2] & 0x0C, raw[start + 3]
    head = bytes([0xFF, raw[start + 1] | 1, ROOMY << 4 | rate, last])
    beside = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    silent = bytes(beside[first.version == MPEG_1, first.is_mono])
    stated = b"Info" + HAS_FRAMES.to_bytes(4, "big") + num_frames.to_bytes(4, "big")
    frame = frame_at(head, 0)
    return (head + silent + stated).ljust(frame.num_bytes if frame else 0, b"\0")


def _num_frames(raw: bytes, at: int, first: Frame) -> int:
    """Frames up to the end; past what is none, to where two of the first one's kind follow each other."""
    found = 0
    while at >= 0 and (frame := frame_at(raw, at)) and _are_alike(frame, first):
        found += at + frame.num_bytes <= len(raw)
        at += frame.num_bytes
        if not _is_next(raw, at, first):
            _refuse_another_rate(raw, at, first)
            at = _found_again(raw, at, first)
    return found


def _refuse_another_rate(raw: bytes, at: int, first: Frame) -> None:
    other = frame_at(raw, at)
    if other and all(_is_next(raw, at := at + frame.num_bytes, other) for _ in "ab" if (frame := frame_at(raw, at))):
        several = " and ".join(f"{rate:,}" for rate in sorted((first.rate, other.rate)))
        raise ValueError(f"the file is of several sounds one after another, at {several} Hz")


def _found_again(raw: bytes, at: int, first: Frame) -> int:
    while (at := raw.find(b"\xff", at)) >= 0:
        frame = frame_at(raw, at)
        if frame and _are_alike(frame, first) and _is_next(raw, at + frame.num_bytes, first):
            return at
        at += 1
    return -1


def _is_next(raw: bytes, at: int, first: Frame) -> bool:
    frame = frame_at(raw, at)
    return frame is not None and _are_alike(frame, first)


def _are_alike(one: Frame, other: Frame) -> bool:
    return (one.version, one.rate) == (other.version, other.rate)
