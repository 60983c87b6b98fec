import base64
import io

import numpy as np
import pytest
import soundfile
from page_samples import sine
from PIL import Image

from fusemix.interfaces import Waveform
from fusemix.reports.page.data import Shown
from fusemix.reports.page.media import LONGEST_SEC, MP3_RATES, fit, jpeg_uri, mp3_uri, outline
from fusemix.reports.page.shelf import Shelf


def content(uri, kind):
    head, data = uri.split(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(data, validate=True))


def decoded(wave):
    samples, rate = soundfile.read(content(mp3_uri(wave), "audio/mpeg"))
    return samples, rate


def frequency(samples, rate):
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return spectrum.argmax() * rate / len(middle)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((1000, 500), (224, 112)), ((500, 1000), (112, 224)), ((30, 20), (30, 20)), ((5000, 1), (224, 1))],
)
def test_a_picture_comes_back_with_its_colours_and_no_larger_than_the_limit(size, fitted):
    picture = Image.open(content(jpeg_uri(fit(Image.new("RGB", size, (200, 30, 90)))), "image/jpeg"))
    assert picture.format == "JPEG"
    assert picture.size == fitted
    assert np.abs(np.asarray(picture, dtype=int) - [200, 30, 90]).max() <= 4


def test_the_original_picture_stays_as_it_is():
    picture = Image.new("RGB", (600, 400))
    fit(picture)
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


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_noise_and_square_waves_do_not_exceed_full_scale_when_played(rate):
    noise = np.random.default_rng(0).uniform(-1, 1, 2 * rate).astype(np.float32)
    square = np.sign(sine(440, 2, rate).samples)
    for samples in (noise, square):
        played, _ = decoded(Waveform(samples, rate))
        assert 0.5 < np.abs(played).max() <= 1


def test_silence_is_a_sound():
    samples, _ = decoded(Waveform(np.zeros(8000, dtype=np.float32), 8000))
    assert np.abs(samples).max() < 1e-3


def test_the_outline_is_the_loudest_sample_of_each_stretch():
    samples = np.array([0.1, -0.4, 0.2, 0, 0, 0, 0.8, 0.1], dtype=np.float32)
    np.testing.assert_allclose(outline(Waveform(samples, 8000), 4), [0.5, 0.25, 0, 1], rtol=1e-6)
    assert outline(Waveform(samples, 8000), 100).shape == (8,)
    assert outline(Waveform(np.zeros(9, dtype=np.float32), 8000), 3).tolist() == [0, 0, 0]


def test_the_shelf_keeps_each_picture_and_sound_once():
    shelf = Shelf()
    picture, sound = Shown("a", Image.new("RGB", (448, 224)), "red"), Shown("a", sine(440, 12), "")
    views = [shelf.view(shown) for shown in (picture, sound, picture, Shown("a", "a", ""), sound)]
    assert [view.kind for view in views] == ["image", "audio", "image", "text", "audio"]
    assert len(shelf.uris) == 2
    assert len(shelf.outlines) == 1
    assert views[0] == views[2]
    assert views[0].size == (224, 112)
    assert views[1].medium != views[0].medium
    assert views[1].length == "first 10 s of 12.0 s"
    assert views[3].text == "a"


def test_a_label_that_only_repeats_the_text_is_left_out():
    assert Shelf().view(Shown("1", "a dog", "a dog")).label == ""
    assert Shelf().view(Shown("1", "a dog", "title")).label == "title"
