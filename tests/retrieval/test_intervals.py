import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.retrieval import intervals
from fusemix.retrieval.intervals import Sampled, bootstrap_intervals, drawn_times, weighted_median


def sampled(ranks: np.ndarray, owners: np.ndarray, name: str = "text_to_image") -> Sampled:
    values = {f"recall_at_{k}": (ranks <= k).astype(float) for k in (1, 5)}
    return Sampled(name, {**values, "mrr": 1 / ranks, "mean_rank": ranks.astype(float)}, owners)


def slow_bootstrap(directions: list[Sampled], seed: int, draws: int) -> dict[str, tuple[float, float]]:
    """Samples written out item by item, with each item's queries."""
    items = sorted({owner for direction in directions for owner in direction.owners.tolist()})
    generator, found = np.random.default_rng(seed), []
    for _ in range(draws):
        drawn = [items[place] for place in generator.integers(len(items), size=len(items))]
        figures = {}
        for direction in directions:
            queries = [q for item in drawn for q in np.flatnonzero(direction.owners == item)]
            for metric, values in direction.values.items():
                figures[f"{direction.name}/{metric}"] = np.mean(values[queries])
            figures[f"{direction.name}/median_rank"] = np.median(direction.values["mean_rank"][queries])
        recalls = [value for key, value in figures.items() if "recall_at" in key]
        found.append({**figures, "recall_sum": sum(recalls), "mean_recall": sum(recalls) / len(recalls)})
    return {key: tuple(np.quantile([each[key] for each in found], [0.025, 0.975])) for key in found[0]}


def test_intervals_are_those_of_samples_written_out():
    generator = np.random.default_rng(0)
    owners = np.sort(generator.integers(3, 30, size=90))  # not all items have as many captions
    captions = sampled(generator.integers(1, 20, size=90), owners)
    pictures = sampled(generator.integers(1, 9, size=33), np.arange(33), "image_to_text")
    found = bootstrap_intervals([pictures, captions], seed=5, draws=150)
    expected = slow_bootstrap([pictures, captions], 5, 150)
    assert found.keys() == expected.keys()
    for name, bounds in expected.items():
        assert found[name] == pytest.approx(bounds), name
        assert found[name][0] < found[name][1], name


@pytest.mark.parametrize("at_once", [None, 1, 4, 100])
def test_samples_drawn_in_blocks_are_those_drawn_one_after_the_other(at_once):
    generator = np.random.default_rng(3)
    one_by_one = [np.bincount(generator.integers(7, size=7), minlength=7).tolist() for _ in range(10)]
    blocks = list(drawn_times(7, 10, np.random.default_rng(3), at_once))
    assert np.concatenate(blocks).tolist() == one_by_one
    assert max(map(len, blocks)) <= (at_once or 10)


def test_how_many_samples_are_in_a_block_changes_no_bit(monkeypatch):
    generator = np.random.default_rng(0)
    directions = [sampled(generator.integers(1, 20, size=60), np.sort(generator.integers(0, 9, size=60)))]
    whole = bootstrap_intervals(directions, seed=0, draws=50)
    monkeypatch.setattr(intervals, "NUMBERS_AT_ONCE", 1)
    assert bootstrap_intervals(directions, seed=0, draws=50) == whole


def test_the_seed_decides_and_nothing_else():
    direction = sampled(np.random.default_rng(0).integers(1, 20, size=50), np.arange(50))
    done = []
    first = bootstrap_intervals([direction], seed=0, draws=100, advance=done.append)
    assert sum(done) == 100
    assert bootstrap_intervals([direction], seed=0, draws=100) == first
    assert bootstrap_intervals([direction], seed=1, draws=100) != first


def test_intervals_hold_the_true_figure_about_95_times_in_100():
    """Pictures differ in how hard they are; the five captions of one are about as hard as one another."""
    generator, covered, repetitions = np.random.default_rng(0), 0, 200
    owners = np.repeat(np.arange(80), 5)
    for _ in range(repetitions):
        hardness = generator.beta(1, 1, size=80)
        hits = generator.random(400) < hardness[owners]
        low, high = bootstrap_intervals([sampled(np.where(hits, 1, 2), owners)], seed=0, draws=200)[
            "text_to_image/recall_at_1"
        ]
        covered += low <= 0.5 <= high
    assert 0.88 <= covered / repetitions <= 0.99


def test_five_captions_of_one_picture_are_not_five_observations():
    ranks = np.random.default_rng(0).integers(1, 12, size=60)
    once = bootstrap_intervals([sampled(ranks, np.arange(60))], seed=0, draws=300)
    five = bootstrap_intervals([sampled(np.repeat(ranks, 5), np.repeat(np.arange(60), 5))], seed=0, draws=300)
    for name, bounds in once.items():
        assert five[name] == pytest.approx(bounds), name
    apart = bootstrap_intervals([sampled(np.repeat(ranks, 5), np.arange(300))], seed=0, draws=300)
    low, high = once["text_to_image/recall_at_5"]
    assert np.diff(apart["text_to_image/recall_at_5"]) < (high - low) / 1.8, "narrower by about the root of five"


def test_figures_without_spread_have_intervals_without_width():
    found = bootstrap_intervals([sampled(np.ones(20, dtype=int), np.arange(20))], seed=0, draws=20)
    assert found["text_to_image/recall_at_1"] == found["text_to_image/median_rank"] == (1.0, 1.0)
    assert found["recall_sum"] == (2.0, 2.0)


def test_samples_that_leave_a_direction_without_queries_do_not_count():
    """All captions belong to one picture of three: a third of the samples has none of them."""
    pictures = sampled(np.array([1, 2, 3]), np.arange(3), "image_to_text")
    captions = sampled(np.array([1, 1, 9]), np.array([0, 0, 0]))
    with np.errstate(all="raise"):
        found = bootstrap_intervals([pictures, captions], seed=0, draws=50)
    assert found["text_to_image/recall_at_1"] == pytest.approx((2 / 3, 2 / 3))
    assert found["image_to_text/mean_rank"][0] < found["image_to_text/mean_rank"][1]


def test_the_level_is_95_percent_and_samples_a_thousand():
    assert (intervals.LEVEL, intervals.DRAWS) == (0.95, 1000)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4)), min_size=1, max_size=30))
def test_the_weighted_median_is_that_of_values_repeated(pairs):
    values, times = (np.array(side) for side in zip(*pairs, strict=True))
    if not times.any():
        times = times + 1
    assert weighted_median(values.astype(float), times) == np.median(np.repeat(values, times))
