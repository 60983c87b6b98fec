"""Where a sound begins in its file, where it ends, and whether another begins there.

Place in the flow: bytes of a file -> one part a sound -> soundfile, which would read the first alone.
Recordings of radio, and what was joined byte by byte (`cat`), hold several.
Not here: the pages of OGG, whose checksums are compared in any case (decoding.py).
"""

import math
import re
from itertools import pairwise

from fusemix.encoders.tags import FLAC_BEGINS, behind_tags, id3_bytes

MAGIC = re.compile(
    rb"RIFF|RIFX|RF64|FORM|fLaC|OggS|\.snd|caff|riff\x2e\x91|NIST_1A\n|Creative Voice File|\xff[\xe0-\xff]"
    rb"|d\xa3|\x00\x0c\xa3\x64| paf|fap |PVF1|2BIT|ALawSoundFile|MATLAB |Extended Instrument|\x01\x04 "
)
"""How the files that soundfile reads begin; the last is a frame of MP3."""
CONTAINER = re.compile(
    rb"RIF[FX]....WAVE|RF64....WAVE|FORM....(?:AIF[FC]|16SV|8SVX)|\.snd\0|caff\0|riff\x2e\x91"
    rb"|NIST_1A\n|Creative Voice File\x1a",
    re.DOTALL,
)
NIST_FIELD = re.compile(rb"^(\w+) -\w+ (\S+)", re.MULTILINE)
NIST_NEEDS = {b"sample_count", b"channel_count", b"sample_n_bytes"}
MP3_FRAME = re.compile(rb"\xff[\xe0-\xff]")
MP3_LEFT_OVER = 4096
"""Bytes behind the stated ones that may be an encoder's mistake."""
MP3_STATES = re.compile(rb"Xing|Info")
MP3_SIDE_INFO = (9, 17, 32)
"""Bytes between the header of an MP3 frame and what it states: by version and channels; zeros in such a frame."""
MP3_HAS_FRAMES, MP3_HAS_BYTES = 1, 2


def parts_of(raw: bytes, ogg_links: list[int]) -> list[bytes]:
    """The sounds of a file, one after another; the file as it is where it holds one.

    Args:
        raw: the file.
        ogg_links: where those of an OGG file begin.
    """
    raw = _without_leader(raw)
    if raw.startswith(b"fLaC"):
        starts = [match.start() for match in FLAC_BEGINS.finditer(raw)]
    elif raw.startswith(b"OggS"):
        starts = ogg_links
    elif raw.startswith((b"ID3", b"\xff")):
        starts = _mp3_starts(raw)
    else:
        starts = _container_starts(raw)
    if len(starts) < 2:
        return [raw]
    return [raw[start:end] for start, end in pairwise([*starts, len(raw)])]


def _without_leader(raw: bytes) -> bytes:
    """Without a tag (ID3v2) or zeros before the sound, which soundfile reads past before MP3 and FLAC alone."""
    at = 0
    while at < len(raw):
        if raw[at] == 0:
            at = len(raw) - len(raw[at:].lstrip(b"\0"))
        elif (tag := id3_bytes(raw, at)) > 0:
            at += tag
        else:
            break
    is_plain = raw.startswith((b"ID3", b"\xff")) and raw[at : at + 1] == b"\xff"
    return raw[at:] if at and not is_plain and MAGIC.match(raw, at) else raw


def _mp3_starts(raw: bytes) -> list[int]:
    """Where streams begin: at frames that state a length, and behind a stream that states fewer bytes than follow."""
    first = behind_tags(raw, 0)
    found = {first}
    for match in MP3_STATES.finditer(raw):
        frame = _stating_frame(raw, match.start())
        if frame is not None:
            end = frame + _stated_bytes(raw, match.start())
            behind = behind_tags(raw, end + 128 if raw[end : end + 3] == b"TAG" else end)
            if frame < end and len(raw) - behind > MP3_LEFT_OVER and MP3_FRAME.match(raw, behind):
                found.add(behind)
            found.add(frame)
    return sorted(found)


def _stating_frame(raw: bytes, at: int) -> int | None:
    """The frame whose words `Xing` or `Info` stand at `at`, or None where they are other bytes."""
    for size in MP3_SIDE_INFO:
        frame = at - 4 - size
        if frame >= 0 and MP3_FRAME.match(raw, frame) and not any(raw[frame + 4 : at]):
            return frame
    return None


def _stated_bytes(raw: bytes, at: int) -> int:
    """Bytes of the stream, or 0 where it does not say."""
    says = int.from_bytes(raw[at + 4 : at + 8], "big")
    place = at + 8 + (4 if says & MP3_HAS_FRAMES else 0)
    return int.from_bytes(raw[place : place + 4], "big") if says & MP3_HAS_BYTES else 0


def _container_starts(raw: bytes) -> list[int]:
    """Where files begin that state their size, one behind the other; odd sizes may be filled up with one byte."""
    starts = [0]
    while (end := _container_end(raw, starts[-1])) is not None:
        behind = next((at for at in map(behind_tags, (raw, raw), (end, end + 1)) if CONTAINER.match(raw, at)), 0)
        if behind <= starts[-1]:
            break
        starts.append(behind)
    return starts


def _container_end(raw: bytes, at: int) -> int | None:
    head = raw[at : at + 32]
    if len(head) < 32:
        return None
    if head.startswith((b"RIFF", b"RIFX", b"FORM")):
        return at + 8 + int.from_bytes(head[4:8], "little" if head.startswith(b"RIFF") else "big")
    if head.startswith(b"RF64"):  # its size is in the chunk ds64, which comes first (EBU Tech 3306)
        return at + 8 + int.from_bytes(head[20:28], "little")
    if head.startswith(b"riff"):
        return at + int.from_bytes(head[16:24], "little")
    if head.startswith(b".snd"):
        return at + int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
    if head.startswith(b"NIST"):
        return _nist_end(raw, at)
    if head.startswith(b"Creative"):
        return _voc_end(raw, at)
    return _caf_end(raw, at) if head.startswith(b"caff") else None


def _nist_end(raw: bytes, at: int) -> int | None:
    """Behind the header, whose size is in its second line, and as many samples as it states (NIST SPHERE)."""
    size = raw[at + 8 : at + 16].strip()
    stated = dict(NIST_FIELD.findall(raw[at : at + int(size)])) if size.isdigit() else {}
    if not stated.keys() >= NIST_NEEDS or b"shorten" in stated.get(b"sample_coding", b""):
        return None
    return at + int(size) + math.prod(int(stated[name]) for name in NIST_NEEDS)


def _voc_end(raw: bytes, at: int) -> int | None:
    """Behind the block of kind 0; each other has a kind of one byte and a size of three (Creative Voice File)."""
    at += int.from_bytes(raw[at + 20 : at + 22], "little")
    while at + 4 <= len(raw) and raw[at]:
        at += 4 + int.from_bytes(raw[at + 1 : at + 4], "little")
    return at + 1 if at < len(raw) else None


def _caf_end(raw: bytes, at: int) -> int | None:
    """Behind the last chunk: each has a name of four bytes and a size of eight (Apple, Core Audio Format)."""
    at += 8
    while at + 12 <= len(raw) and not any(CONTAINER.match(raw, behind_tags(raw, end)) for end in (at, at + 1)):
        size = int.from_bytes(raw[at + 4 : at + 12], "big", signed=True)
        if size < 0:  # up to the end
            return None
        at += 12 + size
    return at
