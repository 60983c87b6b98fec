"""Odd, broken and hostile sounds, and what must become of each."""

import functools
import io
import struct
from typing import Any

import numpy as np
import soundfile
from bad_outcomes import Decoded, File, SetAside, cut

RATE = 16000
TORN = "the sound breaks off or is damaged"
UNREADABLE = "soundfile: .*torchcodec, which reads more formats, is not usable here"


def tone(seconds: float = 2.0, rate: int = RATE, loudness: float = 0.5) -> np.ndarray:
    return (loudness * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds: float, rate: int = RATE) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(int(seconds * rate)) * 0.1).clip(-0.9, 0.9).astype(np.float32)


def written(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def heard(samples: np.ndarray, within: float = 2**-15, *, rate: int = RATE, mono: Any = None, **how: Any) -> File:
    mono = samples if mono is None else mono
    return File(written(samples, rate, **how), Decoded((len(samples), rate), mono, within))


@functools.cache
def sounds() -> dict[str, File]:
    left, right = tone(), noise(2)
    faded = tone() * np.hanning(2 * RATE).astype(np.float32)  # lossy formats smear a sudden start and end
    six = np.column_stack([noise(1) * factor for factor in range(1, 7)]) / 6
    stereo = np.column_stack([left, right])
    return {
        "plain.wav": heard(tone()),
        "plain.flac": heard(tone(), kind="FLAC"),
        "plain.ogg": heard(tone(), 0.05, kind="OGG"),
        "opus.ogg": heard(faded, 0.02, kind="OGG", subtype="OPUS"),
        "plain.mp3": heard(faded, 0.02, kind="MP3"),
        "flac-named.wav": heard(tone(), kind="FLAC"),
        "wav-named.mp3": heard(tone()),
        "without-ending": heard(tone(), 0.05, kind="OGG"),
        "stereo.wav": heard(stereo, mono=(left.astype(np.float64) + right) / 2),
        "six-channels.wav": heard(six, mono=noise(1) * 3.5 / 6),
        "silent.wav": heard(np.zeros(RATE, dtype=np.float32), 0),
        "8-bit.wav": heard(tone(), 2**-7, subtype="PCM_U8"),
        "24-bit.wav": heard(tone(), 2**-23, subtype="PCM_24"),
        "float.wav": heard(tone(), 0, subtype="FLOAT"),
        "loud.wav": heard(tone(loudness=4), 0, subtype="FLOAT"),
        "8-kHz.wav": heard(tone(rate=8000), rate=8000),
        "44-kHz.flac": heard(tone(rate=44100), rate=44100, kind="FLAC"),
        "96-kHz.wav": heard(tone(rate=96000), rate=96000),
        "ten-minutes.wav": heard(noise(600, 8000), rate=8000),
        "one-millisecond.wav": heard(noise(0.001)),
        "one-sample.wav": File(written(noise(1)[:1]), SetAside(r"the sound lasts 6\.25e-05 s")),
        "no-samples.wav": File(written(noise(0)), SetAside("the sound holds no samples")),
        "empty.wav": File(b"", SetAside("the file is empty")),
        "text.wav": File(b"no such sound, said the server\n" * 9, SetAside(UNREADABLE)),
        "1-Hz.wav": File(written(noise(1), 1), SetAside("a sample rate of 100 to 1,000,000 Hz, not of 1 Hz")),
        "4-GHz.wav": File(written(noise(1), 2**31 - 1), SetAside("not of 2,147,483,647 Hz")),
        **_not_finite(),
        **_torn(),
        **_lying(),
        **_joined(),
        **_behind_something(),
    }


def _not_finite() -> dict[str, File]:
    files = {}
    for name, value in (("nan", np.nan), ("infinite", -np.inf)):
        samples = tone()
        samples[5:8] = value
        reason = "3 of 32,000 samples are NaN or infinite"
        files[f"{name}.wav"] = File(written(samples, subtype="FLOAT"), SetAside(reason))
    return files


KINDS = {
    "wav": ("WAV", None),
    "aiff": ("AIFF", None),
    "au": ("AU", None),
    "flac": ("FLAC", None),
    "ogg": ("OGG", None),
    "opus": ("OGG", "OPUS"),
}


def _torn() -> dict[str, File]:
    """Cut short, or with 40 bytes of noise in the middle where the format can tell."""
    files = {}
    for ending, (kind, subtype) in KINDS.items():
        whole = written(noise(4), kind=kind, subtype=subtype)
        for share in (0.1, 0.5, 0.95):
            files[f"cut-{share:.0%}.{ending}"] = cut(whole, share, TORN)
        if ending in ("flac", "ogg", "opus"):
            damaged = bytearray(whole)
            middle = len(damaged) // 2
            damaged[middle : middle + 40] = np.random.default_rng(1).integers(0, 256, 40, dtype=np.uint8).tobytes()
            files[f"damaged.{ending}"] = File(bytes(damaged), SetAside(TORN))
    for kind in ("VOC", "NIST", "SVX", "AVR", "MPC2K", "MAT5", "MAT4"):
        files[f"cut-50%.{kind.lower()}"] = cut(written(noise(2), kind=kind), 0.5, TORN)
    files["cut-50%.mp3"] = cut(written(noise(4), kind="MP3"), 0.5, TORN)
    files["header-cut.wav"] = File(written(tone())[:30], SetAside(UNREADABLE))
    lacks_little = written(tone())[: -2 * 1000]  # 63 ms
    files["cut-63-ms.wav"] = File(lacks_little, Decoded((31000, RATE), tone()[:31000], 2**-15))
    tagged = written(tone(), kind="OGG") + b"TAG" + bytes(125)
    files["tagged.ogg"] = File(tagged, Decoded((32000, RATE), tone(), 0.05))
    return files


def _lying() -> dict[str, File]:
    """Headers of streams, which cannot know their size, and one that promises 68 billion samples."""
    files = {}
    for name, size in (("ffmpeg", 0xFFFFFFFF), ("sox", 0x7FFFF000)):
        stream = bytearray(written(tone()))
        stream[4:8] = stream[40:44] = struct.pack("<I", size)
        files[f"stream-of-{name}.wav"] = File(bytes(stream), Decoded((32000, RATE), tone(), 2**-15))
    for name, (riff, data) in {"killed-recorder": (0, 0), "python-pipe": (36, 0)}.items():
        stream = bytearray(written(tone()))
        stream[4:8], stream[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
        files[f"{name}.wav"] = File(bytes(stream), Decoded((32000, RATE), tone(), 2**-15))
    endless = bytearray(written(tone(), kind="FLAC"))
    endless[21] |= 0x0F  # the number of samples: 36 bits, from the lower half of byte 21 on
    endless[22:26] = b"\xff" * 4
    files["endless.flac"] = File(bytes(endless), SetAside("68,719,476,735 samples in 1 channels are more than"))
    return files


JOINED = {
    **KINDS,
    "mp3": ("MP3", None),
    "rf64": ("RF64", None),
    "w64": ("W64", None),
    "caf": ("CAF", None),
    "gsm.wav": ("WAV", "GSM610"),
    "g721.au": ("AU", "G721_32"),
    "alac.caf": ("CAF", "ALAC_16"),
    "voc": ("VOC", None),
    "sph": ("NIST", None),
    "ulaw.sph": ("NIST", "ULAW"),
    "svx": ("SVX", None),
}
ID3 = b"ID3\x03\0\0" + bytes([0, 0, 39, 8]) + bytes(39 * 128 + 8)
"""A tag of five thousand bytes, its size in four times seven bits."""
APE = bytes(9) + b"APETAGEX" + struct.pack("<4I", 2000, 9 + 32, 1, 0) + bytes(8)


def faded(seconds: float, pitch: float) -> np.ndarray:
    samples = np.sin(2 * np.pi * pitch * np.arange(int(seconds * RATE)) / RATE)
    return (0.5 * samples * np.hanning(len(samples))).astype(np.float32)


def _joined() -> dict[str, File]:
    """Two sounds of unlike length one after the other, as `cat` and recorders of radio write them."""
    one, two = faded(0.48, 440), faded(0.96, 880)  # whole blocks of all codecs
    both, files = np.concatenate([one, two]), {}
    for ending, (kind, subtype) in JOINED.items():
        parts = [written(part, kind=kind, subtype=subtype) for part in (one, two)]
        files[f"two-sounds.{ending}"] = File(b"".join(parts), Decoded((23040, RATE), both, 0.06))
    tagged = ID3.join(written(part, kind="MP3") for part in (one, two))
    files["two-sounds-tagged.mp3"] = File(tagged, Decoded((23040, RATE), both, 0.06))
    files["two-sounds-tagged.wav"] = File(ID3.join(map(written, (one, two))), Decoded((23040, RATE), both, 2**-14))
    rates = b"".join(written(one, rate, "OGG") for rate in (RATE, 8000))
    files["two-rates.ogg"] = File(rates, SetAside("2 sounds one after another, at 8,000 and 16,000 Hz"))
    apart = written(one, kind="OGG") + bytes(99) + written(two, kind="OGG")
    files["two-sounds-apart.ogg"] = File(apart, SetAside(TORN))
    return files


def _behind_something() -> dict[str, File]:
    """Sounds behind a tag or zeros, of no stated length, or in codecs that cannot be sought in."""
    files = {}
    sound = faded(0.48, 440)
    for ending, (kind, subtype) in JOINED.items():
        whole, heard_as = written(sound, kind=kind, subtype=subtype), Decoded((7680, RATE), sound, 0.06)
        if ending in ("wav", "mp3"):
            files[f"tagged.{ending}"] = File(ID3 + whole, heard_as)
            files[f"behind-zeros.{ending}"] = File(bytes(4096) + whole, heard_as)
        files[f"behind-zeros-and-tag.{ending}"] = File(bytes(99) + ID3 + whole, heard_as)
    for name, samples in {"tone": tone(), "noise": noise(2), "short": noise(0.1)}.items():
        piped = bytearray(written(samples, kind="FLAC"))
        piped[21] &= 0xF0
        piped[22:26] = bytes(4)
        whole = bytes(piped)
        for tag, behind in {"id3v1": b"TAG" + bytes(125), "ape": APE, "id3v2": ID3, "both": APE + ID3}.items():
            files[f"piped-{name}-{tag}.flac"] = File(whole + behind, Decoded((len(samples), RATE), samples, 2**-15))
        files[f"piped-{name}.flac"] = File(whole, Decoded((len(samples), RATE), samples, 2**-15))
        files[f"piped-{name}-cut.flac"] = File(
            whole[:-9], SetAside(f"{TORN}: its file states no length, and its last frame is")
        )
    return files
