"""Log-mel cepstra: where a tone is heard, what loudness and silence change, and means against slow loops."""

import numpy as np
import pytest
from scipy.fft import dct

from fusemix.encoders.log_mel import (
    FFT,
    FRAME,
    HOP,
    SAMPLE_RATE,
    cosines,
    log_energies,
    mel_filters,
    normalised,
    segment_means,
    without_silence,
)
from fusemix.errors import EncoderError
from fusemix.interfaces import Waveform


def tone(hertz, seconds=0.5, rate=SAMPLE_RATE):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def rising(rate=SAMPLE_RATE):
    """A second from 300 to 3,300 Hz."""
    time = np.arange(rate) / rate
    return np.sin(2 * np.pi * (300 * time + 1500 * time**2)).astype(np.float32)


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def describe(built, samples, rate=SAMPLE_RATE):
    return built.prepare([Waveform(samples, rate)])[0]


@pytest.mark.parametrize("options", [{}, {"coefficients": 5, "segments": 3, "segment_frames": 2, "bands": 20}])
def test_the_width_follows_from_the_options(encoder, options):
    built = encoder("log_mel", **options)
    cepstra, segments = options.get("coefficients", 13), options.get("segments", 16)
    assert built.dim == len(describe(built, noise(1.0))) == 3 * segments * cepstra + 2 * cepstra + 1


@pytest.mark.parametrize(
    "wrong",
    [{"bands": 13}, {"bands": 400}, {"coefficients": 0}, {"segments": 0}, {"segment_frames": -1}, {"segments": 5000}],
)
def test_numbers_that_describe_no_sound_are_refused(encoder, wrong):
    with pytest.raises(EncoderError, match="numbers must be positive, coefficients fewer than bands"):
        encoder("log_mel", **wrong)


def test_a_band_reaches_from_its_neighbours_top_to_the_other_neighbours_top():
    filters = mel_filters(20)
    ends = [1127.01048 * np.log1p(hertz / 700) for hertz in (60, 7600)]
    corners = 700 * np.expm1(np.linspace(*ends, 22) / 1127.01048)
    for band, weights in enumerate(filters):
        for place, weight in enumerate(weights):
            hertz, (low, top, high) = place * SAMPLE_RATE / FFT, corners[band : band + 3]
            expected = max(0.0, min((hertz - low) / (top - low), (high - hertz) / (high - top)))
            assert weight == pytest.approx(expected, abs=2e-3)


def test_between_the_outermost_tops_the_bands_add_up_to_one():
    total = mel_filters(30).sum(axis=0)
    hertz = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    assert total[(hertz > 200) & (hertz < 6500)] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("hertz", [150, 440, 1000, 2500, 6000])
def test_a_tone_is_loudest_in_the_band_of_its_frequency(hertz):
    filters = mel_filters(64)
    frames = log_energies(tone(hertz), filters)
    expected = filters[:, round(hertz * FFT / SAMPLE_RATE)].argmax()
    assert abs(np.bincount(frames.argmax(axis=1)).argmax() - expected) <= 1
    assert frames.max() == 0


def test_energies_are_those_of_a_slow_fourier_transform():
    """Parseval: over all bins, the energy of the spectrum is that of the windowed frame."""
    samples, every = noise(0.1), np.eye(FFT // 2 + 1, dtype=np.float32)
    frames = np.exp(log_energies(samples, every))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    both_sides = frames.sum(axis=1) * 2 - frames[:, 0] - frames[:, -1]
    of_frames = [((samples[at : at + FRAME] * window) ** 2).sum() for at in range(0, len(samples) - FRAME + 1, HOP)]
    np.testing.assert_allclose(both_sides / both_sides[0], np.array(of_frames) / of_frames[0], rtol=1e-3)


def test_a_long_sound_has_the_frames_of_its_parts():
    samples, filters = noise(50.0), mel_filters(16)
    whole = log_energies(samples, filters)
    assert len(whole) == 1 + (len(samples) - FRAME) // HOP
    part = log_energies(samples[4000 * HOP :], filters)
    np.testing.assert_allclose(np.diff(whole[4000:], axis=0), np.diff(part, axis=0), atol=1e-3)


def test_cepstra_are_those_of_a_cosine_transform():
    frames = np.random.default_rng(0).standard_normal((5, 24))
    np.testing.assert_allclose(frames @ cosines(6, 24).T, dct(frames, norm="ortho")[:, 1:7], atol=1e-5)


@pytest.mark.parametrize(("length", "segments"), [(12, 4), (7, 3), (2, 5), (1, 4)])
def test_means_of_segments_count_a_shared_frame_by_its_share(length, segments):
    frames = np.random.default_rng(length).standard_normal((length, 2))
    finely = frames.repeat(segments, axis=0)  # now every segment is `length` rows
    expected = [finely[at : at + length].mean(axis=0) for at in range(0, length * segments, length)]
    np.testing.assert_allclose(segment_means(frames, segments), expected, atol=1e-9)


def test_bands_have_mean_0_and_deviation_1_and_what_stands_still_stays_0():
    frames = np.random.default_rng(0).standard_normal((50, 3)) * [1, 20, 0] + [5, -3, 7]
    found = normalised(frames)
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert found.std(axis=0) == pytest.approx([1, 1, 0], abs=0.12)


def test_silence_at_both_ends_is_cut_off_and_a_pause_between_stays():
    frames = np.full((9, 2), -20.0)
    frames[[2, 6], 1] = 0, -7.9
    assert len(without_silence(frames)) == 5


@pytest.mark.parametrize("gain", [0.01, 0.5, 3.0])
def test_loudness_does_not_change_a_sound(encoder, gain):
    samples, built = noise(0.7), encoder("log_mel")
    np.testing.assert_allclose(describe(built, gain * samples), describe(built, samples), atol=2e-3)


def test_silence_around_a_sound_hardly_changes_it(encoder):
    samples, built = rising(), encoder("log_mel")
    quiet = np.zeros(20 * HOP, dtype=np.float32)
    around = describe(built, np.concatenate([quiet, samples, quiet]))
    assert np.corrcoef(around, describe(built, samples))[0, 1] > 0.9


def test_a_sound_of_another_rate_is_resampled(encoder):
    built = encoder("log_mel")
    one, other = describe(built, rising()), describe(built, rising(22_050), 22_050)
    assert np.corrcoef(one, other)[0, 1] > 0.99


@pytest.mark.parametrize("samples", [np.zeros(8000, np.float32), np.ones(3, np.float32), tone(500, 0.01)])
def test_silence_and_the_shortest_of_sounds_give_finite_numbers(encoder, samples):
    assert np.isfinite(describe(encoder("log_mel"), samples)).all()
