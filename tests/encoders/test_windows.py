"""Windows of long sounds against slow loops, and through audio models."""

import random

import numpy as np
import pytest
import torch

from fusemix.encoders import ENCODERS
from fusemix.encoders.windows import cut_windows, mean_over_windows
from fusemix.interfaces import Waveform

RATE = 100


def cut_by_loop(samples, window_samples):
    windows, rest = [], list(samples)
    while rest:
        windows.append(rest[:window_samples])
        rest = rest[window_samples:]
    if len(windows) > 1 and len(windows[-1]) < 0.1 * RATE:
        windows = windows[:-1]
    return windows


@pytest.mark.parametrize("length", [1, 5, 9, 10, 49, 50, 51, 59, 60, 61, 149, 150, 155, 163])
def test_windows_are_consecutive_and_only_a_tiny_rest_is_dropped(length):
    samples = np.arange(length, dtype=np.float32)
    windows = cut_windows(samples, window_samples=50, sample_rate=RATE)
    assert [window.tolist() for window in windows] == cut_by_loop(samples, 50)


def test_a_sound_shorter_than_the_shortest_rest_is_kept_whole():
    assert len(cut_windows(np.ones(3, dtype=np.float32), window_samples=50, sample_rate=RATE)) == 1


def test_the_mean_over_windows_weighs_each_by_its_real_samples():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(7, 3, generator=generator)
    owners, weights = [2, 0, 1, 0, 2, 2, 0], [30, 7, 30, 30, 30, 11, 30]
    expected = []
    for owner in range(3):
        mine = [i for i in range(7) if owners[i] == owner]
        total = sum(vectors[i].double() * weights[i] for i in mine)
        expected.append(total / sum(weights[i] for i in mine))
    found = mean_over_windows(vectors, owners, weights, 3)
    torch.testing.assert_close(found.double(), torch.stack(expected), rtol=1e-6, atol=1e-6)


def test_a_sound_of_one_window_keeps_its_vector():
    vectors = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mean_over_windows(vectors, range(4), [1, 2, 3, 4], 4), vectors)


# Through audio models


def latents(encoder, *waves):
    return encoder.encode(encoder.collate(encoder.prepare(list(waves))))


HEARING = {
    "whisper": {"pooling": "mean"},
    "clap": {"pooling": "pooler"},
    "ast": {"pooling": "pooler"},
    "wavlm": {"pooling": "mean", "window_sec": 3.0},
}


@pytest.fixture(params=HEARING)
def hearing(request, encoder):
    return encoder("transformers_audio", request.param, **HEARING[request.param])


def test_every_window_of_a_long_sound_counts_by_its_real_samples(hearing, sound):
    rate, window = hearing.sample_rate, hearing.fingerprint["window_samples"]
    long = sound(3.4 * window / rate, rate)
    starts = range(0, len(long.samples), window)
    parts = [Waveform(long.samples[at : at + window], rate) for at in starts]
    assert [len(part.samples) for part in parts[:3]] == [window] * 3
    lengths = torch.tensor([len(part.samples) for part in parts], dtype=torch.float64)
    alone = torch.cat([latents(hearing, part) for part in parts]).double()
    expected = (alone * lengths[:, None]).sum(dim=0) / lengths.sum()
    torch.testing.assert_close(latents(hearing, long)[0].double(), expected, rtol=1e-4, atol=1e-4)


def test_a_change_anywhere_in_a_long_sound_is_heard(hearing, sound):
    """What is cropped at random, or beyond the first window, would not be."""
    rate, window = hearing.sample_rate, hearing.fingerprint["window_samples"]
    long = sound(2.5 * window / rate, rate)
    before = latents(hearing, long)
    for at in (0.5, 1.5, 2.25):
        samples = long.samples.copy()
        samples[int(at * window) : int(at * window) + rate] *= 5
        assert not torch.allclose(latents(hearing, Waveform(samples, rate)), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", HEARING)
def test_two_runs_give_equal_bits_whatever_the_state_of_the_generators(model, model_folder, sound):
    runs = []
    for seed in (1, 2):
        np.random.seed(seed)
        random.seed(seed)
        torch.manual_seed(seed)
        built = ENCODERS.build("transformers_audio", {"model": model_folder(model), **HEARING[model]})
        window = built.fingerprint["window_samples"] / built.sample_rate
        runs.append(latents(built, sound(2.5 * window, built.sample_rate), sound(1.0, built.sample_rate, seed=3)))
    assert torch.equal(*runs)


@pytest.mark.parametrize("model", HEARING)
def test_the_windows_are_part_of_the_fingerprint(encoder, model):
    built = [encoder("transformers_audio", model, window_sec=seconds) for seconds in (None, 1.0, 2.0)]
    prints = [dict(one.fingerprint) for one in built]
    sizes = [fingerprint.pop("window_samples") for fingerprint in prints]
    assert sizes[1:] == [built[0].sample_rate, 2 * built[0].sample_rate]
    assert len(set(sizes)) == 3
    assert prints[0] == prints[1] == prints[2]
