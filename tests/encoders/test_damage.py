"""Files that are no files, break off, are damaged, or would fill the memory: all raise, and none passes unnoticed."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from fusemix.encoders import decoding
from fusemix.encoders.decoding import decode_audio, decode_image

RATE = 16000


def sound_file(samples, kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind)
    return file.getvalue()


def tone(seconds=0.5):
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


# Pictures


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.03, 0.3, 0.6, 0.9, 0.99])
def test_a_picture_that_breaks_off_raises(picture, file_of, kind, share):
    whole = file_of(picture(90, 90), kind)
    decode_image(whole)
    with pytest.raises(OSError, match=r"[Tt]runcated|broken|decoder|cannot identify|[Nn]ot enough"):
        decode_image(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("compress_level", [0, 1, 9])
def test_no_flipped_bit_of_a_png_changes_its_pixels_unnoticed(picture, file_of, compress_level):
    whole = file_of(picture(), "PNG", compress_level=compress_level)
    unnoticed = []
    for at in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        try:
            unnoticed.append(np.asarray(decode_image(bytes(damaged))))
        except (OSError, ValueError):
            continue
    assert all(np.array_equal(pixels, np.asarray(picture())) for pixels in unnoticed)


@pytest.mark.parametrize("raw", [b"this is no picture", b"<html><body>404</body></html>"])
def test_bytes_that_are_no_picture_raise(raw):
    with pytest.raises(OSError, match="cannot identify image file"):
        decode_image(raw)


@pytest.mark.parametrize("size", [(201, 1), (2, 403)])
def test_a_thin_picture_raises_before_an_encoder_blows_it_up(size):
    decode_image(Image.new("RGB", (200, 1)))
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]} pixels: one side is more than 200 times the other"):
        decode_image(Image.new("RGB", size))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_of_too_many_pixels_raises_before_they_are_decoded(picture, file_of, monkeypatch):
    raw = file_of(picture(40, 30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1200)
    decode_image(raw)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1199)
    with pytest.raises(ValueError, match=r"40.30 pixels are more than 1,199"):
        decode_image(raw)


def test_without_a_limit_no_picture_has_too_many_pixels(picture, file_of, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode_image(file_of(picture(40, 30))).size == (40, 30)


# Sounds


def test_bytes_that_are_no_sound_raise_and_name_who_could_not_read_them():
    with pytest.raises(ValueError, match=r"soundfile: .*torchcodec, which reads more formats, is not usable here"):
        decode_audio(b"this is no sound" * 10)


def test_a_sound_with_too_many_samples_raises_before_they_are_read(monkeypatch):
    raw = sound_file(np.column_stack([tone()] * 2))
    monkeypatch.setattr(decoding, "MOST_SAMPLES", 16000)
    decode_audio(raw)
    monkeypatch.setattr(decoding, "MOST_SAMPLES", 15999)
    with pytest.raises(ValueError, match="8,000 samples in 2 channels are more than 15,999"):
        decode_audio(raw)


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "FLAC", "OGG"])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.9])
def test_a_sound_that_breaks_off_raises(kind, share):
    noise = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32) * 0.1
    whole = sound_file(noise, kind=kind)
    assert len(decode_audio(whole).samples) == 4 * RATE
    with pytest.raises(ValueError, match="the sound breaks off or is damaged"):
        decode_audio(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(("lost_sec", "is_whole"), [(0.0, True), (0.09, True), (0.11, False)])
def test_a_wav_may_lack_a_tenth_of_a_second(lost_sec, is_whole):
    whole = sound_file(tone())
    raw = whole[: len(whole) - 2 * int(lost_sec * RATE)]
    if is_whole:
        assert len(decode_audio(raw).samples) == int((0.5 - lost_sec) * RATE)
    else:
        with pytest.raises(ValueError, match=r"0\.39 s of the 0\.50 s that its file states"):
            decode_audio(raw)


def checksum_by_loop(page):
    """CRC-32 as RFC 3533 describes it: polynomial 0x04C11DB7, bit by bit, starting from 0."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc.to_bytes(4, "little")


@pytest.mark.parametrize("length", [0, 1, 27, 300])
def test_the_checksum_of_a_page_is_that_of_a_slow_loop(length):
    page = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    assert decoding._ogg_checksum(page) == checksum_by_loop(page)


@pytest.mark.parametrize("kind", ["OGG", "FLAC"])
def test_no_damaged_byte_changes_a_sound_with_checksums_unnoticed(kind):
    whole = sound_file(tone(), kind=kind)
    expected = decode_audio(whole).samples
    for at in range(0, len(whole), 41):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        try:
            unnoticed = decode_audio(bytes(damaged))
        except ValueError:
            continue
        assert np.array_equal(unnoticed.samples, expected), at  # a tag or padding
