import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from fusemix.interfaces import Waveform
from fusemix.media import MP3_RATES, bars, fitted, jpeg, mp3, outline

LONGEST_SEC = 10


def decoded(wave, highest_rate=24_000, compression=0.8):
    made = mp3(wave, LONGEST_SEC, highest_rate=highest_rate, compression=compression)
    samples, rate = soundfile.read(io.BytesIO(made))
    return samples, rate


def sine(hertz, seconds=1.0, rate=16_000, peak=0.5):
    samples = peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return Waveform(samples.astype(np.float32), rate)


def frequency(samples, rate):
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return spectrum.argmax() * rate / len(middle)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1000, 500), (224, 112)), ((500, 1000), (112, 224)), ((30, 20), (30, 20)), ((5000, 1), (224, 1))],
)
def test_a_picture_comes_back_with_its_colours_and_no_larger_than_the_limit(size, expected):
    picture = Image.open(io.BytesIO(jpeg(fitted(Image.new("RGB", size, (200, 30, 90)), 224), 80)))
    assert picture.format == "JPEG"
    assert picture.size == expected
    assert np.abs(np.asarray(picture, dtype=int) - [200, 30, 90]).max() <= 4


def test_the_original_picture_stays_as_it_is():
    picture = Image.new("RGB", (600, 400))
    fitted(picture, 224)
    assert picture.size == (600, 400)


@pytest.mark.parametrize("rate", [6_000, 8_000, 10_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_a_sound_comes_back_with_its_length_pitch_and_loudness(rate):
    samples, out_rate = decoded(sine(440, seconds=2, rate=rate))
    assert out_rate in MP3_RATES
    assert out_rate >= min(rate, 24_000)
    assert samples.ndim == 1
    assert len(samples) / out_rate == pytest.approx(2, abs=0.01)
    assert frequency(samples, out_rate) == pytest.approx(440, abs=2)
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    assert middle.std() * np.sqrt(2) == pytest.approx(0.5, rel=0.05)


def test_a_long_sound_is_cut():
    samples, rate = decoded(sine(440, seconds=LONGEST_SEC + 5, rate=8000))
    assert len(samples) / rate == pytest.approx(LONGEST_SEC, abs=0.01)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_sound_beyond_full_scale_is_made_quieter_and_not_cut_off(rate):
    samples, out_rate = decoded(sine(440, rate=rate, peak=5))
    assert np.abs(samples).max() < 1
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    overtone = spectrum[round(3 * 440 * len(middle) / out_rate)]
    assert overtone < 0.01 * spectrum.max(), "a sine that is cut off has a third harmonic"


@pytest.mark.parametrize(("compression", "highest_rate"), [(0.8, 24_000), (0.6, 48_000)])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_noise_and_square_waves_do_not_exceed_full_scale_when_played(rate, compression, highest_rate):
    noise = np.random.default_rng(0).uniform(-1, 1, 2 * rate).astype(np.float32)
    square = np.sign(sine(440, 2, rate).samples)
    for samples in (noise, square):
        played, _ = decoded(Waveform(samples, rate), highest_rate, compression)
        assert 0.5 < np.abs(played).max() <= 1


def test_silence_is_a_sound():
    samples, _ = decoded(Waveform(np.zeros(8000, dtype=np.float32), 8000))
    assert np.abs(samples).max() < 1e-3


def test_the_outline_is_the_loudest_sample_of_each_stretch():
    samples = np.array([0.1, -0.4, 0.2, 0, 0, 0, 0.8, 0.1], dtype=np.float32)
    np.testing.assert_allclose(outline(Waveform(samples, 8000), 4), [0.5, 0.25, 0, 1], rtol=1e-6)
    assert outline(Waveform(samples, 8000), 100).shape == (8,)
    assert outline(Waveform(np.zeros(9, dtype=np.float32), 8000), 3).tolist() == [0, 0, 0]


def test_bars_stand_around_the_middle_and_none_is_too_low_to_be_seen():
    assert bars(np.array([1.0, 0.0]), least=2.0) == "M2 1.0v46.0M6 23.0v2.0"


def test_a_progressive_jpeg_is_one():
    picture = Image.new("RGB", (64, 64), "red")
    found = [Image.open(io.BytesIO(jpeg(picture, 84, is_progressive=which))).info for which in (False, True)]
    assert [bool(info.get("progressive")) for info in found] == [False, True]
