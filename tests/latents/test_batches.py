import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.latents.batches import (
    distinct_pairs,
    draw_batches,
    epoch_order,
    first_occurrences,
    largest_batch,
    split_links,
)


def captioned(num_left: int, captions: int) -> np.ndarray:
    return np.column_stack([np.repeat(np.arange(num_left), captions), np.arange(num_left * captions)])


@st.composite
def some_links(draw):
    pairs = draw(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=60))
    return np.array(sorted(pairs), dtype=np.int64)


@given(links=some_links())
def test_first_occurrences_agree_with_a_plain_loop(links):
    lefts, rights, expected = set(), set(), []
    for left, right in links.tolist():
        expected.append(left not in lefts and right not in rights)
        lefts.add(left)
        rights.add(right)
    assert first_occurrences(links).tolist() == expected


@given(links=some_links(), most=st.integers(1, 10))
def test_distinct_pairs_share_no_item_and_none_could_be_added(links, most):
    chosen = links[distinct_pairs(links, most)]
    assert len(np.unique(chosen[:, 0])) == len(np.unique(chosen[:, 1])) == len(chosen) <= most
    if len(chosen) < most:
        assert all(left in chosen[:, 0] or right in chosen[:, 1] for left, right in links)


@settings(deadline=None)
@given(links=some_links(), batch_size=st.integers(1, 6), seed=st.integers(0, 99))
def test_no_batch_holds_an_item_twice_and_no_link_comes_twice(links, batch_size, seed):
    batches = list(draw_batches(links, batch_size, np.random.default_rng(seed)))
    for batch in batches:
        assert len(batch) == batch_size
        assert len(np.unique(batch[:, 0])) == len(np.unique(batch[:, 1])) == batch_size
    drawn = [tuple(link) for batch in batches for link in batch.tolist()]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= {tuple(link) for link in links.tolist()}


@settings(deadline=None)
@given(links=some_links(), batch_size=st.integers(1, 6))
def test_an_epoch_ends_only_when_what_is_left_fills_no_batch(links, batch_size):
    batches = list(draw_batches(links, batch_size, np.random.default_rng(0)))
    drawn = {tuple(link) for batch in batches for link in batch.tolist()}
    left_over = np.array([link for link in links.tolist() if tuple(link) not in drawn], dtype=np.int64).reshape(-1, 2)
    # What a greedy choice fills depends on the order it meets the links in, and a maximal choice is
    # never smaller than half of a largest one.
    assert len(distinct_pairs(left_over, batch_size * 2)) < 2 * batch_size


@pytest.mark.parametrize(("num_left", "captions", "batch_size"), [(600, 5, 400), (1000, 1, 64), (50, 5, 50)])
def test_nearly_every_pair_is_seen_in_an_epoch(num_left, captions, batch_size):
    links = captioned(num_left, captions)
    seen = sum(len(batch) for batch in draw_batches(links, batch_size, np.random.default_rng(0)))
    assert seen > len(links) - 2 * batch_size


def test_a_batch_of_all_pictures_can_be_filled():
    batches = list(draw_batches(captioned(50, 5), 50, np.random.default_rng(0)))
    assert len(batches) == 5


def test_the_order_is_a_permutation_that_deals_each_items_links_to_rounds():
    links = captioned(40, 3)
    order = epoch_order(links, np.random.default_rng(0))
    assert sorted(order) == list(range(120))
    for start in (0, 40, 80):
        assert len(np.unique(links[order[start : start + 40], 0])) == 40


def test_the_order_depends_on_the_generator_alone():
    links = captioned(40, 3)
    same = [epoch_order(links, np.random.default_rng([7, epoch])) for epoch in (0, 0, 1)]
    assert (same[0] == same[1]).all()
    assert (same[0] != same[2]).any()


def test_the_largest_batch_is_the_smaller_side():
    assert largest_batch(captioned(7, 5)) == 7


@given(links=some_links(), holdout=st.floats(0.05, 0.5), seed=st.integers(0, 9))
def test_no_item_is_on_both_sides_of_a_holdout(links, holdout, seed):
    train, held = split_links(links, holdout, seed)
    assert len(train) + len(held) == len(links)
    for side in (0, 1):
        assert not set(train[:, side]) & set(held[:, side])
    assert len(held) <= round(holdout * len(links))


def test_a_holdout_has_the_size_that_was_asked_for_and_depends_on_the_seed():
    links = captioned(200, 5)
    held = [split_links(links, 0.1, seed)[1] for seed in (0, 0, 1)]
    assert len(held[0]) == 100
    assert (held[0] == held[1]).all()
    assert set(held[0][:, 0]) != set(held[2][:, 0])
