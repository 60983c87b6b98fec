"""From files to mono samples: each rule against something independent.

Not here: files that break off or are damaged (test_damage.py), and the table of odd files (bad_sounds.py).
"""

import io

import numpy as np
import pytest
import soundfile

from fusemix.encoders.decoding import decode_audio, resample
from fusemix.interfaces import Waveform

RATE = 16000
NOTHING = np.zeros(0, dtype=np.float32)


def sound_file(samples, rate=RATE, kind="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def tone(hertz, seconds=0.5, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


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


def mp3_of_no_length(samples, rate=RATE):
    """An MP3 of changing bit rate without its first frame, which states the length."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3", bitrate_mode="VARIABLE")
    whole = file.getvalue()
    assert whole[13:17] == b"Xing"
    return whole[whole.index(whole[:2], 17) :]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("tag", [b"", b"ID3\4\0\0\0\0\0\x0a" + bytes(10)])
def test_an_mp3_of_changing_bit_rate_that_states_no_length_is_heard_to_its_end(order, tag):
    loud = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32) / 5
    samples = np.concatenate([loud, np.zeros(2 * RATE, dtype=np.float32)])[::order]
    heard = decode_audio(tag + mp3_of_no_length(samples)).samples
    assert len(heard) == pytest.approx(5 * RATE, abs=0.1 * RATE)
    energy = [(heard[second * RATE :][:RATE] ** 2).sum() for second in range(5)]
    assert [bool(value > 100) for value in energy] == [True, True, True, False, False][::order]


def test_mp3_streams_of_unequal_rates_that_state_no_length_are_refused():
    joined = mp3_of_no_length(tone(440)) + mp3_of_no_length(tone(440, rate=24000), 24000)
    with pytest.raises(ValueError, match="several sounds one after another, at 16,000 and 24,000 Hz"):
        decode_audio(joined)


def test_a_stereo_sound_becomes_the_mean_of_its_channels():
    left, right = tone(440), tone(1000)
    wave = decode_audio(sound_file(np.column_stack([left, right]), subtype="FLOAT"))
    assert wave.samples.shape == left.shape
    assert np.allclose(wave.samples, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 128), ("PCM_16", 2**15), ("PCM_24", 2**23), ("DOUBLE", 2**24)]
)
def test_full_scale_is_one_whatever_the_number_of_bits(subtype, step):
    samples = np.tile(np.array([0.0, 0.5, -0.5, 0.25, -1.0], dtype=np.float32), 20)
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


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(99, dtype=np.int16), RATE, r"mono samples in floating point, not int16 \(99,\)"),
        (np.zeros((2, 99), dtype=np.float32), RATE, r"mono samples in floating point, not float32 \(2, 99\)"),
        (np.array([0, np.nan] * 50, dtype=np.float32), RATE, "50 of 100 samples are NaN or infinite"),
        (tone(440), 0, "not of 0 Hz"),
        (tone(440), -8000, "not of -8,000 Hz"),
        (tone(440), 99, "a sample rate of 100 to 1,000,000 Hz, not of 99 Hz"),
        (np.zeros(8, dtype=np.float32), RATE, "the sound lasts 0.0005 s, and not 0.001 to 21,600 s"),
        (np.zeros(2_160_100, dtype=np.float32), 100, r"the sound lasts 2.16e\+04 s, and not 0.001 to 21,600 s"),
    ],
)
def test_a_waveform_is_checked_as_a_file_is(samples, rate, message):
    with pytest.raises((ValueError, TypeError), match=message):
        decode_audio(Waveform(samples, rate))


@pytest.mark.parametrize("raw", [None, "name.wav", tone(440)])
def test_what_is_neither_a_file_nor_a_waveform_is_named(raw):
    with pytest.raises(TypeError, match=f"a sound must be the bytes of a file or a Waveform, not {type(raw).__name__}"):
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
