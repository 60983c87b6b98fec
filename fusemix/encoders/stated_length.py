"""How long a sound is by its file's own words, and files that do not say it made to say it.

Place in the flow: one sound of a file -> bytes that soundfile reads to the end -> is all there that was stated?
Not here: where a sound ends and another begins (joined.py).
"""

import re

import soundfile

from fusemix.encoders.flac import flac_samples
from fusemix.encoders.mp3 import stating_frames
from fusemix.encoders.tags import FLAC_BEGINS, behind_tags, without_tags_behind

UNKNOWN_BYTES = 0x7FFFF000
"""Programs that write to a pipe state this size or a larger one, since they cannot know it."""

STATED_SIZE = re.compile(
    r"^ *(?:data|SSND|BODY|Data Size|Data length) *:? (\d+) \(?should be (\d+)|truncated\. +(\d+) <--> (\d+)",
    re.MULTILINE,
)
"""Where libsndfile's log says that an uncompressed sound states another size than it has."""
STATED_FRAMES = {"AVR": r"^  Frames +: (\d+)", "MPC2K": r"^  Frames +: (\d+)", "MAT5": r"^ +Rows : \d+ +Cols : (\d+)"}
"""Where it says how many frames were stated, in the last of such lines."""
NIST_FRAMES = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
VOC_BREAKS_OFF = "Seems to be a truncated file"
CHUNK = re.compile(rb"[ -~]{4}")


def with_length(raw: bytes) -> bytes:
    """A FLAC, MP3 or WAV file that does not state its length, as written to a pipe, with the length that it has.

    Raises:
        ValueError: the last frame of a FLAC file is not whole, or an MP3 file goes on at another rate.
    """
    if FLAC_BEGINS.match(raw):
        return raw if len(raw) < 42 or raw[21] & 0x0F or any(raw[22:26]) else _flac(raw)
    if raw.startswith((b"ID3", b"\xff")):
        return stating_frames(raw, behind_tags(raw, 0))
    return _wav(raw) if raw.startswith(b"RIFF") and raw[8:12] == b"WAVE" else raw


def _flac(raw: bytes) -> bytes:
    total = flac_samples(without_tags_behind(raw))
    if total is None:
        raise ValueError(
            "the sound breaks off or is damaged: its file states no length, and its last frame is not whole"
        )
    head = bytearray(raw[:26])
    head[21] |= total >> 32
    head[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(head) + raw[26:]


def _wav(raw: bytes) -> bytes:
    """Where the samples are said to take no byte, and what follows is no chunk, they reach to the end."""
    at = 12
    while at + 8 < len(raw) and raw[at : at + 4] != b"data":
        size = int.from_bytes(raw[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    begin = at + 8
    if any(raw[at + 4 : begin]) or begin >= len(raw):
        return raw
    size = int.from_bytes(raw[begin + 4 : begin + 8], "little")
    if CHUNK.match(raw, begin) and begin + 8 + size <= len(raw):
        return raw
    return raw[: at + 4] + (len(raw) - begin).to_bytes(4, "little") + raw[begin:]


def stated_frames(file: soundfile.SoundFile, raw: bytes) -> int:
    """Frames that the file says it has; libsndfile cuts uncompressed sounds to what is there.

    Args:
        file: opened.
        raw: its bytes.

    Raises:
        ValueError: it breaks off within a block.
    """
    if file.format == "NIST":
        found = NIST_FRAMES.search(raw[:4096])
        return int(found[1]) if found else file.frames
    if file.format == "VOC" and VOC_BREAKS_OFF in file.extra_info:
        raise ValueError("the sound breaks off or is damaged: its last block is not whole")
    if file.format in STATED_FRAMES:
        found = re.findall(STATED_FRAMES[file.format], file.extra_info, re.MULTILINE)
        return int(found[-1]) if found else file.frames
    sizes = STATED_SIZE.search(file.extra_info)
    if sizes is None:
        return file.frames
    there, stated = (sizes[3], sizes[4]) if sizes[3] else (sizes[2], sizes[1])
    return file.frames * int(stated) // int(there) if int(there) and int(stated) < UNKNOWN_BYTES else file.frames
