"""benchmarks/quality_parts/aligned.py: which pairs the rows of its table are made of."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def pairs(benchmark_module):
    """Four pictures whose latents are their numbers, with three captions each, in an order of no meaning."""
    links = np.array([[picture, 3 * picture + caption] for picture in range(4) for caption in range(3)])
    links = links[np.random.default_rng(0).permutation(12)]
    aligned = benchmark_module("quality_parts.aligned")
    return aligned.Pairs(np.arange(4.0)[:, None], np.arange(12.0)[:, None], links)


def named(pairs):
    return [(int(pairs.pictures[left, 0]), int(pairs.texts[right, 0])) for left, right in pairs.links]


def test_few_pairs_are_first_captions_and_then_second_ones(pairs):
    assert named(pairs.some(slice(None), most=6)) == [(0, 0), (1, 3), (2, 6), (3, 9), (0, 1), (1, 4)]
    some = pairs.some(slice(1, 3))
    assert named(some) == [(1, 3), (2, 6), (1, 4), (2, 7), (1, 5), (2, 8)]
    assert (len(some.pictures), len(some.texts)) == (2, 6)


def test_mixed_pairs_are_the_same_in_another_order(pairs):
    firsts = pairs.some(slice(None), most=4)
    mixed = firsts.mixed()
    assert named(mixed) != named(firsts)
    assert sorted(named(mixed)) == named(firsts)
    assert mixed.links.tolist() == [[row, row] for row in range(4)]
