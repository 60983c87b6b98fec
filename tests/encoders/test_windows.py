"""Windows of long sounds against slow loops."""

import numpy as np
import pytest
import torch

from fusemix.encoders.windows import cut_windows, mean_over_windows

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
