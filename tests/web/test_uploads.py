import io
import struct
import sys
import time

import numpy as np
import pytest
import soundfile
from nasty_bodies import png, with_size
from PIL import Image

from fusemix.encoders import heif
from fusemix.web.answers import Refusal
from fusemix.web.uploads import read_picture, read_sound


def file_of(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pictures_of_the_usual_formats_are_read(kind):
    assert read_picture(file_of(Image.new("RGB", (20, 10), "red"), kind)).size == (20, 10)


def test_heic_is_read_where_its_extra_is_and_judged_by_the_size_that_it_states():
    package = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    file = io.BytesIO()
    package.from_pillow(Image.new("RGB", (64, 64), "red")).save(file)
    raw = file.getvalue()
    assert read_picture(raw).size == (64, 64)
    for side, refused in (
        (9000, "9000×9000 pixels; 64 million are the most"),
        (60_000, "too large; 64 million pixels"),
    ):
        with pytest.raises(Refusal, match=f"the picture .*{refused}"):
            read_picture(raw.replace(struct.pack(">II", 64, 64), struct.pack(">II", side, side)))
    with pytest.raises(Refusal, match="JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIF are taken here"):
        read_picture(raw[:100])


def test_heic_is_refused_with_what_is_taken_where_its_extra_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heif._register.cache_clear()
    with pytest.raises(Refusal, match="the picture cannot be read; JPEG, PNG"):
        read_picture(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40))
    heif._register.cache_clear()


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000"])
def test_other_formats_are_refused_though_pillow_reads_them(kind):
    with pytest.raises(Refusal, match="the picture cannot be read; JPEG, PNG, WEBP, GIF, BMP, TIFF") as refusal:
        read_picture(file_of(Image.new("RGB", (32, 32), "red"), kind))
    assert refusal.value.status == 422


@pytest.mark.parametrize("raw", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"PK\3\4", b""])
def test_pages_and_archives_are_no_pictures_and_no_sounds(raw):
    with pytest.raises(Refusal, match="the picture cannot be read"):
        read_picture(raw)
    with pytest.raises(Refusal, match="the sound cannot be read"):
        read_sound(raw)


def test_a_picture_is_judged_by_the_size_that_it_states_before_it_is_decoded():
    started = time.thread_time()
    with pytest.raises(Refusal, match="the picture has 9000×9000 pixels; 64 million are the most"):
        read_picture(with_size(png(), 9000, 9000))
    with pytest.raises(Refusal, match="the picture is too large; 64 million pixels are the most"):
        read_picture(with_size(png(), 60_000, 60_000))
    assert time.thread_time() - started < 1


def test_a_damaged_picture_is_refused_with_the_reason():
    with pytest.raises(Refusal, match="the picture cannot be read: .*truncated"):
        read_picture(file_of(Image.effect_noise((64, 64), 50), "JPEG")[:-400])


def sound(kind, seconds=0.5, rate=16_000, channels=1):
    file = io.BytesIO()
    soundfile.write(file, np.zeros((int(seconds * rate), channels), np.float32), rate, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF"])
def test_sounds_of_the_usual_formats_are_read(kind):
    assert read_sound(sound(kind)).samples.size == pytest.approx(8000, abs=2000)


@pytest.mark.parametrize("kind", ["VOC", "W64", "PAF", "MAT5", "IRCAM"])
def test_other_sounds_are_refused_though_soundfile_reads_them(kind):
    with pytest.raises(Refusal, match="the sound cannot be read; WAV, WAVEX") as refusal:
        read_sound(sound(kind))
    assert refusal.value.status == 422


def test_a_sound_is_judged_by_the_length_that_it_states_before_it_is_decoded():
    hours = sound("FLAC", seconds=3 * 3600, rate=100)
    assert len(hours) < 20_000, "silence takes next to no room"
    with pytest.raises(Refusal, match="the sound is too long; 10 minutes in stereo at 48 kHz are the most"):
        read_sound(hours)
    with pytest.raises(Refusal, match="the sound is too long"):
        read_sound(sound("FLAC", seconds=100, rate=96_000, channels=8))


def test_a_sound_that_breaks_off_is_refused_with_the_reason():
    with pytest.raises(Refusal, match="the sound cannot be read: the sound breaks off"):
        read_sound(sound("WAV", seconds=2)[:20_000])
