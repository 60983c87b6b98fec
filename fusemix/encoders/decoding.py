"""From the bytes of a file to a picture, a sound or a text that every encoder takes.

Place in the flow: Raw -> decode -> Content, once per item, whatever the number of encoders.
Not here: sizes, crops and scales, which belong to an encoder.

What is whole is decoded by its content, whatever its name; what breaks off, is damaged, or has no one
meaning raises and is set aside, since its latent would stand for something else than its caption does.
The table in docs/encoders.md, "What is decoded and what is set aside", says it kind by kind.
"""

import io
import re
import zlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import soundfile
import soxr
from jaxtyping import Float

from fusemix.contents import Content, Raw, Waveform
from fusemix.encoders.joined import parts_of
from fusemix.encoders.pictures import decode_image
from fusemix.encoders.stated_length import stated_frames, with_length

LOWEST_RATE, HIGHEST_RATE = 100, 1_000_000
"""Sample rates of sounds in hertz, from whale song to bat calls; others are mistakes."""

MOST_SAMPLES = 1 << 30
"""Samples of one sound over all channels: 4 GiB in float32, or three hours of CD."""

SHORTEST_SEC, LONGEST_SEC = 0.001, 6 * 3600
"""What is shorter says nothing; what is longer takes gigabytes at the rate of an encoder."""

LOST_SEC = 0.1
"""A sound that is shorter than it says by less than this is whole: encoders round, and an MP3 may lose a frame."""

BLOCK_FRAMES = 1 << 20
OGG_BEGINS = 2
"""The flag of an OGG page that begins a stream."""

REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the other order."""

CONTROLS = re.compile("[\0-\b\x0e-\x1f\x7f]")
"""Control characters but for white space; some tokenizers stop at NUL."""


RULES = {"image": 3, "audio": 3}
"""Numbers of the rules by modality, 2 where not named; raised whenever one changes what an item decodes to."""
ALIKE = (2, 3)
"""Numbers of rules that differ in odd files alone: for latents these count as one, where nothing is cached."""
DECODING_PACKAGES = {"image": ("pillow",), "audio": ("soundfile", "soxr")}


def decoding_fingerprint(modality: str) -> dict[str, Any]:
    """What of decoding changes the numbers of a modality, as plain data."""
    return {
        "rules": RULES.get(modality, 2),
        "packages": {name: version(name) for name in DECODING_PACKAGES.get(modality, ())},
    }


def decode(modality: str, raw: Raw, least_side: int | None = None) -> Content:
    """Decode one item; a modality that is neither image, audio nor text is handed through.

    Args:
        modality: of the item.
        raw: as its data set gives it.
        least_side: of a picture; see `decode_image`.

    Raises:
        Exception: whatever the decoder raises; the caller sets the item aside.
    """
    if modality == "image" and least_side is not None:
        return decode_image(raw, least_side=least_side)
    return DECODERS[modality](raw) if modality in DECODERS else raw


def decode_audio(raw: Raw, most_samples: int | None = None) -> Waveform:
    """Decode a sound to mono, the mean of its channels: soundfile first, torchcodec for what it cannot read.

    Samples beyond full scale stay as they are. A sound that lacks more than LOST_SEC of what its file
    promises breaks off. MP3 files without a header that says their length promise nothing.

    Args:
        raw: the bytes of a file, or a Waveform, which is handed through.
        most_samples: over all channels of a file; MOST_SAMPLES by default.

    Raises:
        ValueError: nothing can read the bytes; the sound breaks off, is damaged, holds no samples or some
            that are not finite, has an impossible rate, or is too short or too long.
        TypeError: `raw` is something else.
    """
    wave = _decode_sound(raw, MOST_SAMPLES if most_samples is None else most_samples) if isinstance(raw, bytes) else raw
    if not isinstance(wave, Waveform):
        raise TypeError(f"a sound must be the bytes of a file or a Waveform, not {type(raw).__name__}")
    samples = wave.samples
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise TypeError(f"a Waveform holds mono samples in floating point, not {samples.dtype} {samples.shape}")
    if samples.size == 0:
        raise ValueError("the sound holds no samples")
    _check_rate(wave.sample_rate)
    if not SHORTEST_SEC <= (seconds := samples.size / wave.sample_rate) <= LONGEST_SEC:
        raise ValueError(f"the sound lasts {seconds:.3g} s, and not {SHORTEST_SEC} to {LONGEST_SEC:,} s")
    if num_bad := samples.size - np.count_nonzero(np.isfinite(samples)):
        raise ValueError(f"{num_bad:,} of {samples.size:,} samples are NaN or infinite")
    return wave


def _check_rate(rate: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(f"a sound has a sample rate of {LOWEST_RATE} to {HIGHEST_RATE:,} Hz, not of {rate:,} Hz")


def _decode_sound(raw: bytes, most_samples: int) -> Waveform:
    waves: list[Waveform] = []
    for part in sounds_of(raw):
        wave, samples = _decode_part(part, most_samples)
        waves.append(wave)
        most_samples -= samples
    if len(rates := {wave.sample_rate for wave in waves}) > 1:
        several = " and ".join(f"{rate:,}" for rate in sorted(rates))
        raise ValueError(f"the file is of {len(waves)} sounds one after another, at {several} Hz")
    return waves[0] if len(waves) == 1 else Waveform(np.concatenate([wave.samples for wave in waves]), rates.pop())


def sounds_of(raw: bytes) -> list[bytes]:
    """The sounds of a file, one after another, as bytes that soundfile reads to their ends.

    Raises:
        ValueError: there are no bytes; the file breaks off, or is damaged.
    """
    if not raw:
        raise ValueError("the file is empty")
    return [with_length(part) for part in parts_of(raw, _ogg_links(raw))]


def decode_beginning(raw: Raw, seconds: int) -> Waveform:
    """The beginning of a sound that `decode_audio` reads, to listen to; no more is decoded where that can be helped."""
    if isinstance(raw, bytes):
        try:
            with soundfile.SoundFile(io.BytesIO(sounds_of(raw)[0])) as file:
                return Waveform(_read_mono(file, seconds * file.samplerate)[0], int(file.samplerate))
        except soundfile.LibsndfileError:  # torchcodec may read it
            pass
    wave = decode_audio(raw)
    return Waveform(wave.samples[: seconds * wave.sample_rate], wave.sample_rate)


def _decode_part(raw: bytes, most_samples: int) -> tuple[Waveform, int]:
    """A sound, and how many samples all its channels had."""
    try:
        file = soundfile.SoundFile(io.BytesIO(raw))
    except soundfile.LibsndfileError as error:
        wave = _decode_with_torchcodec(raw, error)
        return wave, len(wave.samples)
    with file:
        samples = _read_all(file, raw, most_samples)
        return Waveform(samples, int(file.samplerate)), len(samples) * file.channels


def _ogg_links(raw: bytes) -> list[int]:
    """Where the links of an OGG file begin: at pages that begin a stream, behind others that do not.

    All pages are compared with their checksums: libsndfile passes over damaged ones, and over a missing end.

    Raises:
        ValueError: a page is not whole, or more pages come behind something else.
    """
    page, links, began = 0, [], False
    while raw.startswith(b"OggS", page):  # layout of a page: RFC 3533, section 6
        body = page + 27 + (raw[page + 26] if page + 26 < len(raw) else 0)
        end = body + sum(raw[page + 27 : body])
        stated = raw[page + 22 : page + 26]
        if end > len(raw) or _ogg_checksum(raw[page : page + 22] + bytes(4) + raw[page + 26 : end]) != stated:
            raise ValueError(f"the sound breaks off or is damaged: the OGG page at byte {page:,} is not whole")
        begins = bool(raw[page + 5] & OGG_BEGINS)
        if begins and not began:
            links.append(page)
        page, began = end, begins
    if links and raw.find(b"OggS\0", page) >= 0:
        raise ValueError(f"the sound breaks off or is damaged: what is behind its end at byte {page:,} goes on later")
    return links


def _ogg_checksum(page: bytes) -> bytes:
    """OGG's CRC-32 is that of zlib with all bits in the other order and without the two inversions."""
    crc = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(REVERSED)


def _read_all(file: soundfile.SoundFile, raw: bytes, most_samples: int) -> Float[np.ndarray, " samples"]:
    _check_rate(file.samplerate)
    # What cannot be sought in, such as GSM 6.10 and G.721, does not know how long it is.
    if file.seekable() and file.frames * file.channels > most_samples:
        raise ValueError(f"{file.frames:,} samples in {file.channels} channels are more than {most_samples:,}")
    try:
        samples, is_whole = _read_mono(file, most_samples // file.channels)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"the sound breaks off or is damaged: {error.error_string}") from error
    if not is_whole:
        raise ValueError(f"the sound has more than {most_samples:,} samples")
    stated = stated_frames(file, raw)
    if stated - len(samples) > LOST_SEC * file.samplerate and len(samples):
        have, want = len(samples) / file.samplerate, stated / file.samplerate
        raise ValueError(f"the sound breaks off or is damaged: {have:.2f} s of the {want:.2f} s that its file states")
    return samples


def _read_mono(file: soundfile.SoundFile, most_frames: int) -> tuple[Float[np.ndarray, " samples"], bool]:
    """The mean of the channels, read block by block, and whether the sound ends there."""
    blocks, left = [], most_frames
    while len(block := file.read(min(BLOCK_FRAMES, left + 1), dtype="float32", always_2d=True)):
        blocks.append(block[:left, 0] if block.shape[1] == 1 else block[:left].mean(axis=1))
        if len(block) > left:
            return np.concatenate(blocks), False
        left -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), True


def _decode_with_torchcodec(raw: bytes, reason: soundfile.LibsndfileError) -> Waveform:
    try:
        from torchcodec.decoders import AudioDecoder  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError, RuntimeError) as error:  # the last two: FFmpeg or CUDA libraries are missing
        message = f"soundfile: {reason.error_string} torchcodec, which reads more formats, is not usable here"
        raise ValueError(message) from error
    decoded = AudioDecoder(raw).get_all_samples()
    return Waveform(decoded.data.mean(dim=0).numpy(), int(decoded.sample_rate))


def resample(wave: Waveform, sample_rate: int) -> Waveform:
    """The same sound at another rate, by soxr at its high quality."""
    if wave.sample_rate == sample_rate:
        return wave
    return Waveform(soxr.resample(wave.samples, wave.sample_rate, sample_rate), sample_rate)


def clean_text(raw: Raw) -> str:
    """A caption that every tokenizer takes, without outer white space.

    Control characters become spaces, halves of surrogate pairs are joined where both are there, and a
    lone half becomes U+FFFD. Everything else stays: emoji, right-to-left marks, any length.

    Raises:
        ValueError: nothing is left that can be seen.
        TypeError: `raw` is no str.
    """
    if not isinstance(raw, str):
        raise TypeError(f"a text must be a str, not {type(raw).__name__}")
    text = CONTROLS.sub(" ", raw)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = text.strip()
    if not any(map(str.isprintable, text.replace(" ", ""))):
        raise ValueError("the text is empty")
    return text


DECODERS: dict[str, Callable[[Raw], Content]] = {
    "image": decode_image,
    "audio": decode_audio,
    "text": clean_text,
}
