"""From files to pictures, sounds and texts: every form that a file may take, and files that are broken."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from fusemix.encoders.decoding import clean_text, decode, decode_audio, decode_image, resample
from fusemix.interfaces import Waveform

RATE = 16000
NOTHING = np.zeros(0, dtype=np.float32)


def sound_file(samples, rate=RATE, kind="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def tone(hertz, seconds=0.5, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def ramp(dtype, top):
    return np.linspace(0, top, 64, dtype=np.float64).round().astype(dtype).reshape(8, 8)


# Pictures


def test_an_rgb_picture_keeps_its_pixels(picture, file_of):
    decoded = decode_image(file_of(picture()))
    assert decoded.mode == "RGB"
    assert np.array_equal(np.asarray(decoded), np.asarray(picture()))


def test_a_picture_that_is_already_open_is_taken_as_it_is(picture):
    assert np.array_equal(np.asarray(decode_image(picture())), np.asarray(picture()))


def test_a_palette_picture_gets_the_colours_of_its_palette(file_of):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    decoded = decode_image(file_of(image))
    assert decoded.mode == "RGB"
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (200, 100, 0)]


def test_a_cmyk_picture_becomes_rgb(file_of):
    decoded = decode_image(file_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    assert decoded.mode == "RGB"
    assert decoded.getpixel((4, 4)) == (255, 0, 0)


def test_transparency_is_dropped_and_the_colours_stay(file_of):
    decoded = decode_image(file_of(Image.new("RGBA", (4, 4), (9, 80, 200, 128))))
    assert decoded.mode == "RGB"
    assert decoded.getpixel((1, 1)) == (9, 80, 200)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_a_greyscale_picture_becomes_three_equal_channels(picture, file_of, mode):
    grey = picture().convert(mode)
    decoded = np.asarray(decode_image(file_of(grey)))
    expected = np.asarray(grey.convert("L"))
    assert all(np.array_equal(decoded[:, :, channel], expected) for channel in range(3))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight_and_not_clipped(file_of, kind):
    deep = ramp(np.uint16, 65535)
    decoded = np.asarray(decode_image(file_of(Image.fromarray(deep), kind)), dtype=np.float64)
    assert decoded.max() == 255
    assert np.abs(decoded[:, :, 0] - deep / 257).max() < 1


def test_sixteen_bits_in_the_other_byte_order_are_scaled_alike(file_of):
    deep = ramp(np.uint16, 65535)
    swapped = Image.frombytes("I;16B", (8, 8), deep.astype(">u2").tobytes())
    expected = decode_image(file_of(Image.fromarray(deep)))
    assert np.array_equal(np.asarray(decode_image(swapped)), np.asarray(expected))


@pytest.mark.parametrize(
    ("orientation", "turned_back"),
    [(1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)],
)
def test_a_picture_is_upright_as_its_exif_data_says(picture, file_of, orientation, turned_back):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(file_of(picture(), exif=exif))
    assert np.array_equal(np.asarray(decoded), turned_back(np.asarray(picture())))


def test_of_an_animation_the_first_frame_is_taken(file_of):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    decoded = decode_image(file_of(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded.mode == "RGB"
    assert decoded.getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_breaks_off_raises(picture, file_of, kind):
    whole = file_of(picture(200, 200), kind)
    decode_image(whole)
    with pytest.raises(OSError, match=r"truncated|broken|corrupt|decoder|cannot|failed"):
        decode_image(whole[: len(whole) // 2])


@pytest.mark.parametrize("raw", [b"", b"this is no picture", b"<html><body>404</body></html>"])
def test_bytes_that_are_no_picture_raise(raw):
    with pytest.raises(OSError, match="cannot identify image file"):
        decode_image(raw)


def test_a_picture_of_too_many_pixels_raises_before_they_are_decoded(picture, file_of, monkeypatch):
    raw = file_of(picture(40, 30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1200)
    decode_image(raw)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1199)
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(ValueError, match=r"40.30 pixels are more than 1,199"),
    ):
        decode_image(raw)


def test_without_a_limit_no_picture_has_too_many_pixels(picture, file_of, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode_image(file_of(picture(40, 30))).size == (40, 30)


# Sounds


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_mono_sound_keeps_its_samples_and_rate(kind):
    wave = decode_audio(sound_file(tone(440), 22050, kind))
    assert wave.sample_rate == 22050
    assert wave.samples.dtype == np.float32
    assert np.abs(wave.samples - tone(440)).max() <= 1 / 32768


def test_an_ogg_sound_is_read_as_well():
    wave = decode_audio(sound_file(tone(440), kind="OGG"))
    assert wave.sample_rate == RATE
    assert len(wave.samples) == len(tone(440))
    assert np.corrcoef(wave.samples, tone(440))[0, 1] > 0.99


def test_a_stereo_sound_becomes_the_mean_of_its_channels():
    left, right = tone(440), tone(1000)
    wave = decode_audio(sound_file(np.column_stack([left, right]), subtype="FLOAT"))
    assert wave.samples.shape == left.shape
    assert np.allclose(wave.samples, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 128), ("PCM_16", 2**15), ("PCM_24", 2**23), ("DOUBLE", 2**24)]
)
def test_full_scale_is_one_whatever_the_number_of_bits(subtype, step):
    samples = np.array([0.0, 0.5, -0.5, 0.25, -1.0], dtype=np.float32)
    wave = decode_audio(sound_file(samples, subtype=subtype))
    assert wave.samples.dtype == np.float32
    assert np.abs(wave.samples - samples).max() <= 1 / step


def test_a_waveform_is_taken_as_it_is():
    wave = Waveform(tone(440), RATE)
    assert decode_audio(wave) is wave


@pytest.mark.parametrize("raw", [sound_file(NOTHING), Waveform(NOTHING, RATE)])
def test_a_sound_without_samples_raises(raw):
    with pytest.raises(ValueError, match="the sound holds no samples"):
        decode_audio(raw)


@pytest.mark.parametrize("raw", [b"", b"this is no sound" * 10])
def test_bytes_that_are_no_sound_raise_and_name_who_could_not_read_them(raw):
    with pytest.raises(ValueError, match=r"soundfile: .*torchcodec, which reads more formats, is not usable here"):
        decode_audio(raw)


@pytest.mark.parametrize(("have", "want"), [(44100, 16000), (16000, 48000), (8000, 16000), (22050, 16000)])
def test_resampling_keeps_the_duration_and_the_pitch(have, want):
    wave = resample(Waveform(tone(440, seconds=2, rate=have), have), want)
    assert wave.sample_rate == want
    assert len(wave.samples) / want == pytest.approx(2, abs=1e-3)
    assert wave.samples.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(wave.samples * np.hanning(len(wave.samples))))
    assert np.fft.rfftfreq(len(wave.samples), 1 / want)[spectrum.argmax()] == pytest.approx(440, abs=1)
    inner = slice(want // 10, -want // 10)
    assert np.abs(wave.samples[inner] - tone(440, seconds=2, rate=want)[: len(wave.samples)][inner]).max() < 1e-3


def test_what_the_lower_rate_cannot_hold_is_filtered_out():
    wave = resample(Waveform(tone(7000, rate=16000), 16000), 8000)
    assert np.abs(wave.samples[400:-400]).max() < 1e-3


def test_a_sound_that_has_the_rate_is_not_touched():
    wave = Waveform(tone(440), RATE)
    assert resample(wave, RATE) is wave


# Texts


def test_a_text_loses_nul_bytes_and_outer_white_space():
    assert clean_text("\n a dog\0runs  fast \t") == "a dog runs  fast"


@pytest.mark.parametrize("raw", ["", "  \n\t", "\0", " \0 \0"])
def test_a_blank_text_raises(raw):
    with pytest.raises(ValueError, match="the text is empty"):
        clean_text(raw)


# By modality


def test_each_modality_has_its_decoder_and_others_pass_through(picture, file_of):
    assert decode("text", " a ") == "a"
    assert decode("image", file_of(picture())).size == picture().size
    assert decode("audio", sound_file(tone(440))).sample_rate == RATE
    anything = object()
    assert decode("touch", anything) is anything
