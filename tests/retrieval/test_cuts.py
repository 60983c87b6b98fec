"""The cut: the score at which results are as often right as wrong."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from fusemix.retrieval.cuts import BINS, FITTING, HIGHEST, LOWEST, cut_of

BIN = (HIGHEST - LOWEST) / BINS


def held_out(num_items=400, noise=1.0, seed=0):
    """Queries, items, and links: query i asks for item i, and for item 2i where there is one."""
    draw = torch.Generator().manual_seed(seed)
    items = normalize(torch.randn(num_items, 12, generator=draw), dim=1)
    queries = normalize(items + noise * torch.randn(num_items, 12, generator=draw) / 12**0.5, dim=1)
    own = np.arange(num_items)
    links = np.concatenate([np.stack([own, own], 1), np.stack([own, 2 * own], 1)[1 : num_items // 2]])
    return queries, items, links


def by_definition(queries, items, links, taken):
    """Of all scores the one that is the best threshold when one item in fifty fits, by trying each."""
    scores = (queries @ items.T).double().numpy() - taken
    is_right = np.zeros(scores.shape, dtype=bool)
    is_right[links[:, 0], links[:, 1]] = True
    right, wrong = np.sort(scores[is_right]), np.sort(scores[~is_right])
    tried = np.unique(right)  # a best threshold is one of a right pair
    share_right = 1 - np.searchsorted(right, tried) / len(right)
    share_wrong = 1 - np.searchsorted(wrong, tried) / len(wrong)
    gain = 0.02 * share_right - 0.98 * share_wrong
    return tried[np.argmax(gain)], lambda c: 0.02 * (right >= c).mean() - 0.98 * (wrong >= c).mean()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("has_constants", [False, True])
def test_no_other_threshold_errs_less(seed, has_constants):
    queries, items, links = held_out(seed=seed)
    taken = np.random.default_rng(seed).uniform(0, 0.5 * has_constants, len(items)).astype(np.float32)
    best, gain = by_definition(queries, items, links, taken)
    found = cut_of(queries, items, links, taken)
    assert gain(found) >= gain(best) - 1 / len(links) / 50 and gain(found) > 0  # one right pair, for a bin's width


def test_it_lies_where_both_kinds_are_equally_frequent():
    """Scores of right and of wrong pairs are two normal distributions of one width, so the crossing is known."""
    draw = np.random.default_rng(0)
    num, width, right_mean = 3000, 0.1, 0.5
    scores = draw.normal(0.0, width, (num, 60)).astype(np.float32)
    scores[:, 0] = draw.normal(right_mean, width, num)
    # Items are axes, and queries carry their scores as coordinates: their products are these scores.
    queries, items = torch.from_numpy(scores), torch.eye(60)
    wanted = right_mean / 2 + width**2 / right_mean * np.log((1 - FITTING) / FITTING)
    found = cut_of(queries, items, np.stack([np.arange(num), np.zeros(num, int)], 1), np.zeros(60, np.float32))
    assert found == pytest.approx(wanted, abs=0.015)


def test_it_is_the_same_whatever_the_size_of_the_gallery():
    queries, items, links = held_out(num_items=1200, noise=0.7)
    none = np.zeros(1200, np.float32)
    half = links[(links < 600).all(axis=1)]
    whole, part = cut_of(queries, items, links, none), cut_of(queries[:600], items[:600], half, none[:600])
    assert part == pytest.approx(whole, abs=0.04)


def test_what_is_taken_from_all_scores_alike_moves_it_by_as_much():
    queries, items, links = held_out()
    none = np.zeros(len(items), np.float32)
    assert cut_of(queries, items, links, none + 64 * BIN) == pytest.approx(
        cut_of(queries, items, links, none) - 64 * BIN, abs=1.5 * BIN
    )


def test_there_is_none_where_scores_tell_nothing_or_pairs_are_few():
    queries, items, links = held_out()
    none = np.zeros(len(items), np.float32)
    assert cut_of(queries, items, links[:29], none) is None
    assert cut_of(-queries, items, links, none) is None
    same = torch.ones(len(items), 4) / 2
    assert cut_of(same, same, links, none) is None
