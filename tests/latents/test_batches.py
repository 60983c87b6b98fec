import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.latents import batches as module
from fusemix.latents.batches import Links, shuffled_by, split_links, surplus, windows
from fusemix.latents.distinct import Distinct


def captioned(num_left: int, captions: int) -> np.ndarray:
    return np.column_stack([np.repeat(np.arange(num_left), captions), np.arange(num_left * captions)])


@st.composite
def some_links(draw):
    pairs = draw(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=60))
    return np.array(sorted(pairs), dtype=np.int64)


def batches_of(links: np.ndarray, batch_size: int, seed: object = 0, **options: object) -> list[np.ndarray]:
    per_item = options.pop("per_item", None)
    return list(Links(links, per_item).batches(batch_size, np.random.default_rng(seed), **options))


@given(links=some_links(), most=st.integers(1, 10))
def test_what_is_chosen_shares_no_item_and_nothing_could_be_added(links, most):
    distinct = Distinct(links)
    distinct.choose(links[::-1], most)  # what was seen before must not matter
    chosen = links[distinct.choose(links, most)]
    assert len(np.unique(chosen[:, 0])) == len(np.unique(chosen[:, 1])) == len(chosen) <= most
    if len(chosen) < most:
        assert all(left in chosen[:, 0] or right in chosen[:, 1] for left, right in links)


@settings(deadline=None)
@given(links=some_links(), batch_size=st.integers(1, 6), seed=st.integers(0, 99), window=st.sampled_from([8, 1 << 20]))
def test_no_batch_holds_an_item_twice_and_no_link_comes_twice(links, batch_size, seed, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", window)
        patch.setattr(module, "WINDOW_IN_BATCHES", 2)
        patch.setattr(module, "BLOCK", 4)
        batches = batches_of(links, batch_size, seed)
    for batch in batches:
        assert len(batch) == batch_size
        assert len(np.unique(batch[:, 0])) == len(np.unique(batch[:, 1])) == batch_size
    drawn = [tuple(link) for batch in batches for link in batch.tolist()]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= {tuple(link) for link in links.tolist()}


@settings(deadline=None)
@given(links=some_links(), batch_size=st.integers(1, 6))
def test_an_epoch_ends_only_when_what_is_left_fills_no_batch(links, batch_size):
    drawn = {tuple(link) for batch in batches_of(links, batch_size) for link in batch.tolist()}
    left_over = np.array([link for link in links.tolist() if tuple(link) not in drawn], dtype=np.int64).reshape(-1, 2)
    # What a greedy choice fills depends on the order it meets the links in, and a maximal choice is
    # never smaller than half of a largest one.
    assert len(Distinct(links).choose(left_over, batch_size * 2)) < 2 * batch_size


@settings(deadline=None)
@given(links=some_links(), per_item=st.integers(1, 4), batch_size=st.integers(1, 4), seed=st.integers(0, 99))
def test_groups_hold_linked_items_and_share_none_with_other_groups_of_a_batch(links, per_item, batch_size, seed):
    known = {tuple(link) for link in links.tolist()}
    seen: list[int] = []
    for batch in batches_of(links, batch_size, seed, per_item=per_item):
        assert batch.shape == (batch_size, 1 + per_item)
        owner: dict[int, int] = {}
        for left, *rights in batch.tolist():
            assert len({(left, right) for right in rights} & known) == per_item, "linked, and none twice"
            assert all(owner.setdefault(right, left) == left for right in rights)
        seen += batch[:, 0].tolist()
    assert len(seen) == len(set(seen)), "each left item has one turn an epoch"


def test_several_links_of_an_item_are_taken_alike_often_and_not_twice_at_once():
    links = captioned(20, 5)
    taken = np.zeros(100, dtype=int)
    for seed in range(300):
        for batch in batches_of(links, 20, seed, per_item=2):
            assert (batch[:, 1] != batch[:, 2]).all()
            taken[batch[:, 1:]] += 1
    assert taken.sum() == 300 * 40
    assert abs(taken - 120).max() < 50  # five standard deviations


@pytest.mark.parametrize(("num_left", "captions", "batch_size"), [(600, 5, 400), (1000, 1, 64), (50, 5, 50)])
@pytest.mark.parametrize("window", [64, 1 << 20])
def test_nearly_every_pair_is_seen_in_an_epoch(num_left, captions, batch_size, window, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "WINDOW", window)
    monkeypatch.setattr(module, "WINDOW_IN_BATCHES", 2)
    links = captioned(num_left, captions)
    seen = sum(len(batch) for batch in batches_of(links, batch_size))
    assert seen > len(links) - 2 * batch_size


def test_a_batch_of_all_pictures_can_be_filled():
    assert len(batches_of(captioned(50, 5), 50)) == 5


def test_the_links_of_one_item_lie_far_apart_in_an_epoch():
    links = captioned(40, 3)
    order = np.concatenate(batches_of(links, 1))
    assert sorted(order[:, 1].tolist()) == list(range(120))
    for start in (0, 40, 80):
        assert len(np.unique(order[start : start + 40, 0])) == 40


def test_the_order_depends_on_the_generator_alone():
    links = captioned(40, 3)
    same = [np.concatenate(batches_of(links, 4, [7, epoch])) for epoch in (0, 0, 1)]
    assert (same[0] == same[1]).all()
    assert (same[0] != same[2]).any()
    assert (np.concatenate(batches_of(links[::-1], 4, [7, 0]))[:, 0] == same[0][:, 0]).mean() > 0.9


@pytest.mark.parametrize("largest_key", [2, 1 << 55])
def test_shuffling_by_keys_sorts_them_and_treats_equals_alike(largest_key):
    keys = np.array([0, largest_key, 0, 1, 0, largest_key])
    first = np.zeros(6)
    for seed in range(600):
        order = shuffled_by(keys, np.random.default_rng(seed))
        assert (np.diff(keys[order]) >= 0).all()
        assert sorted(order) == list(range(6))
        first[order[0]] += 1
    assert (first[[1, 3, 5]] == 0).all()
    assert abs(first[[0, 2, 4]] - 200).max() < 60  # five standard deviations


def test_a_large_set_is_shuffled_in_windows_of_whole_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 10)
    assert windows(90, 90, np.random.default_rng(0)) is None, "one window: all are shuffled with one another"
    found = windows(95, 39, np.random.default_rng(0))
    assert np.bincount(found).max() == 30
    for block in range(10):
        assert len(set(found[10 * block : 10 * block + 10])) == 1
    neighbours = {tuple(np.unique(np.flatnonzero(found == window) // 10)) for window in range(3)}
    assert len(neighbours & {(0, 1, 2), (3, 4, 5), (6, 7, 8)}) < 3


def test_latents_of_a_large_set_are_read_in_runs_and_the_links_of_an_item_lie_far_apart(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)
    monkeypatch.setattr(module, "WINDOW", 400)
    monkeypatch.setattr(module, "WINDOW_IN_BATCHES", 2)
    links = captioned(400, 5)
    order = np.concatenate(batches_of(links, 10))
    for start in range(0, 2000, 400):
        window = order[start : start + 400]
        assert len(np.unique(window[:, 1] // 100)) <= 5, "four blocks, and what waited of the window before"
        for at in range(0, 400, 80):
            assert len(np.unique(window[at : at + 80, 0])) > 70


def test_the_largest_batch_is_the_smaller_side():
    assert Links(captioned(7, 5)).largest_batch == 7
    assert Links(captioned(7, 5), per_item=3).largest_batch == 7


def test_items_with_fewer_links_than_are_taken_at_once_are_left_out():
    links = np.concatenate([captioned(7, 3), captioned(5, 2) + np.array([7, 21])])
    dealt = Links(links, per_item=3)
    assert (dealt.left_out, dealt.largest_batch, len(dealt)) == (5, 7, 7)
    assert {left for batch in batches_of(links, 7, per_item=3) for left in batch[:, 0].tolist()} == set(range(7))
    assert Links(links, per_item=2).left_out == 0
    assert Links(links, per_item=4).largest_batch == 0


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


def in_turn(groups: np.ndarray) -> list[int]:
    """Places that are taken one after the other, wherever both items are free."""
    lefts: set[int] = set()
    rights: set[int] = set()
    chosen = []
    for place, (left, *more) in enumerate(groups.tolist()):
        if left not in lefts and not rights & set(more):
            chosen.append(place)
            lefts.add(left)
            rights |= set(more)
    return chosen


@given(links=some_links(), most=st.integers(1, 80), seed=st.integers(0, 9))
def test_what_is_chosen_in_order_is_what_one_after_the_other_finds(links, most, seed):
    links = np.random.default_rng(seed).permutation(links)
    assert Distinct(links).choose(links, most, in_order=True).tolist() == in_turn(links)[:most]
    assert Distinct(links).choose(links, len(links)).tolist() == in_turn(links)


@given(links=some_links(), most=st.integers(1, 30), seed=st.integers(0, 9))
def test_what_is_chosen_in_rounds_is_what_slow_rounds_find(links, most, seed):
    links = np.random.default_rng(seed).permutation(links)
    chosen: list[int] = []
    free = list(range(len(links)))
    while free and len(chosen) < most:
        is_first = [all(links[p, s] not in links[free[:at], s] for s in (0, 1)) for at, p in enumerate(free)]
        found = [place for place, first in zip(free, is_first, strict=True) if first]
        chosen += found[: most - len(chosen)]
        free = [p for p in free if not any((links[p] == links[q]).any() for q in found)]
    assert Distinct(links).choose(links, most).tolist() == sorted(chosen)


def frequent(num_left: int, share: float, captions: int) -> np.ndarray:
    """Every left item once; a share of them with one of a few captions, the first of which half of these have."""
    generator = np.random.default_rng(0)
    often = np.minimum(generator.geometric(0.5, num_left) - 1, captions - 1)
    return np.column_stack(
        [np.arange(num_left), np.where(generator.random(num_left) < share, often, captions + np.arange(num_left))]
    )


def test_an_item_has_as_many_turns_as_there_are_batches_and_they_are_spread_over_the_epoch():
    links, turns = frequent(4000, 0.5, 8), np.zeros((40, 8), dtype=int)
    for seed in range(40):
        found = batches_of(links, 100, seed)
        assert len(found) >= 19
        assert max(np.bincount(batch[:, 1]).max() for batch in found) == 1
        for number, batch in enumerate(found):
            turns[number] += np.bincount(batch[:, 1], minlength=8)[:8]
    most = len(found)
    assert (turns[: most - 1, :3] >= 10).all(), "in every part of an epoch, and not in its first batches alone"


def test_few_groups_wait_however_often_an_item_occurs(monkeypatch):
    """Else each batch looks at what has waited before it, again and again."""
    links, looked = frequent(20_000, 0.6, 30), []

    def choose(self, groups, most, **how):
        looked.append(len(groups))
        return chosen(self, groups, most, **how)

    chosen = Distinct.choose
    monkeypatch.setattr(Distinct, "choose", choose)
    assert len(batches_of(links, 200)) > 30
    assert max(looked) < 6 * 200
    assert np.mean(looked) < 4 * 200


def test_what_is_left_out_is_the_surplus_alone_and_left_to_chance():
    links = frequent(1000, 0.5, 4)
    left_out = np.array([surplus(links, 50, np.random.default_rng(seed)) for seed in range(50)])
    counts = np.bincount(links[:, 1])
    turns = [counts[item] - left_out[:, links[:, 1] == item].sum(axis=1) for item in range(4)]
    assert all((of == turns[0]).all() for of in turns), "all who have more have as many"
    assert 500 // 50 <= turns[0][0] <= 1000 // 50
    assert not left_out[:, links[:, 1] >= 4].any()
    kept = ~left_out[:, links[:, 1] == 0]
    assert abs(kept[:, :100].sum() - kept[:, 100:200].sum()) < 100, "wherever in the set a link stands"
    assert (kept[0] != kept[1]).any()


def test_nothing_is_left_out_where_all_have_their_turn_and_no_chance_is_spent():
    generator = np.random.default_rng(0)
    assert surplus(captioned(100, 5), 50, generator) is None
    assert generator.random() == np.random.default_rng(0).random()
