import numpy as np
import pytest
from scipy.stats import binomtest, kstest, permutation_test

from fusemix.retrieval import comparison
from fusemix.retrieval.comparison import (
    DRAWS,
    EXACT_ITEMS,
    bootstrap_interval,
    compare_ranks,
    holm,
    query_scores,
    sign_flip_p,
)

MONTE_CARLO = 4 * np.sqrt(0.25 / DRAWS)
"""Four standard errors of a share of draws."""


def drawn(items: int, captions: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks of two runs; captions of one item are about as hard as one another, in each run."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(items), captions)
    hardness = generator.normal(1.2, 1.0, items)
    runs = [hardness + generator.normal(at, 0.7, items) for at in (0.0, shift)]
    first, second = (1 + generator.poisson(np.exp(run)[groups]) for run in runs)
    return first, second, groups


def by_scipy(first: np.ndarray, second: np.ndarray, items: np.ndarray, metric: str, resamples: float) -> float:
    sums = [np.bincount(items, weights=query_scores(ranks, metric)) for ranks in (first, second)]

    def statistic(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(x - y, axis=axis)

    how = {"permutation_type": "samples", "vectorized": True, "n_resamples": resamples}
    return permutation_test(sums, statistic, rng=np.random.default_rng(7), **how).pvalue


@pytest.mark.parametrize("metric", ["recall_at_1", "recall_at_5", "mrr"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_few_items_p_is_exactly_that_of_all_ways_to_swap(metric, seed):
    first, second, items = drawn(EXACT_ITEMS, 5, seed, shift=0.8)
    ours = compare_ranks(first, second, items, [metric])[metric].p
    assert ours == pytest.approx(by_scipy(first, second, items, metric, np.inf), abs=1e-12)


@pytest.mark.parametrize("metric", ["recall_at_1", "recall_at_5", "mrr"])
@pytest.mark.parametrize(("seed", "shift"), [(0, 0.0), (1, 0.2), (2, -0.1)])
def test_with_many_items_p_agrees_with_draws_by_scipy(metric, seed, shift):
    first, second, items = drawn(150, 5, seed, shift)
    ours = compare_ranks(first, second, items, [metric])[metric].p
    assert ours == pytest.approx(by_scipy(first, second, items, metric, DRAWS - 1), abs=np.sqrt(2) * MONTE_CARLO)


def test_with_one_query_an_item_recall_is_compared_as_by_mcnemars_exact_test():
    first, second, items = drawn(400, 1, seed=3, shift=0.15)
    found = compare_ranks(first, second, items, ["recall_at_1"])["recall_at_1"]
    won, lost = int(((second == 1) & (first > 1)).sum()), int(((first == 1) & (second > 1)).sum())
    exact = binomtest(won, won + lost, 0.5).pvalue
    assert 0.01 < exact < 0.9
    assert found.p == pytest.approx(exact, abs=MONTE_CARLO)
    assert found.num_differing == won + lost > EXACT_ITEMS
    assert found.difference == pytest.approx((won - lost) / 400)


def test_p_is_uniform_where_the_runs_are_alike():
    """If runs are alike, each item's difference has either sign, and p falls below a bound as often as that bound says.

    Of few items that is so exactly, over all signs: each value that p can have is had by a sum and by its opposite.
    """
    generator = np.random.default_rng(0)
    ways = 1.0 - 2 * (np.arange(256) >> np.arange(8)[:, None] & 1)
    few = sign_flip_p(generator.gamma(1.0, size=(8, 1)) * ways, generator)
    np.testing.assert_allclose(np.sort(few), np.repeat(np.arange(1, 129), 2) / 128)
    many = generator.gamma(1.0, size=(30, 1)) * generator.choice([-1.0, 1.0], size=(30, 400))
    assert kstest(sign_flip_p(many, generator), "uniform").pvalue > 0.01


def test_flipping_captions_by_themselves_would_find_what_is_not_there():
    """Five times the same query under one item must count once."""
    first, second, items = drawn(60, 1, seed=5, shift=0.25)
    once = compare_ranks(first, second, items, ["mrr"])["mrr"]
    five = [np.repeat(part, 5) for part in (first, second, items)]
    assert compare_ranks(*five, ["mrr"])["mrr"] == pytest.approx(once, abs=1e-12)
    apart = compare_ranks(five[0], five[1], np.arange(300), ["mrr"])["mrr"]
    assert apart.p < once.p / 2


def test_a_run_beside_itself_differs_in_nothing_and_p_is_one():
    first, _, items = drawn(50, 5, seed=0)
    for found in compare_ranks(first, first.copy(), items, ["recall_at_1", "mrr"]).values():
        assert found == (0.0, 0.0, 0.0, 1.0, 50, 0)


def test_the_order_of_runs_changes_the_sign_alone():
    first, second, items = drawn(80, 5, seed=2, shift=0.2)
    one = compare_ranks(first, second, items, ["recall_at_5", "mrr"])
    other = compare_ranks(second, first, items, ["recall_at_5", "mrr"])
    for metric, found in one.items():
        assert other[metric].p == found.p
        assert other[metric].difference == pytest.approx(-found.difference)
        assert (other[metric].low, other[metric].high) == pytest.approx((-found.high, -found.low))


def test_neither_the_order_of_queries_nor_the_names_of_items_nor_other_figures_change_anything():
    first, second, items = drawn(80, 5, seed=2, shift=0.2)
    asked = compare_ranks(first, second, items, ["recall_at_5", "mrr"])
    order = np.random.default_rng(0).permutation(len(items))
    shuffled = compare_ranks(first[order], second[order], 7 * items[order] + 3, ["mrr"])
    assert shuffled["mrr"] == pytest.approx(asked["mrr"], abs=1e-12)


def test_a_clear_difference_has_the_smallest_p_and_an_interval_beside_nought():
    first, second, items = drawn(300, 2, seed=4, shift=1.5)
    found = compare_ranks(first, second, items, ["mrr"])["mrr"]
    assert found.p == 1 / (1 + DRAWS)
    assert found.low < found.difference < found.high < 0


def test_the_interval_agrees_with_a_slow_bootstrap_over_items():
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 6, size=40).astype(np.float64)
    sums = generator.normal(0.1, 1.0, size=(40, 1)) * sizes[:, None]
    low, high = bootstrap_interval(sums, sizes, np.random.default_rng(1))
    means = []
    for _ in range(4000):
        chosen = generator.integers(0, 40, size=40)
        means.append(sums[chosen, 0].sum() / sizes[chosen].sum())
    expected = np.quantile(means, [0.025, 0.975])
    assert (low[0], high[0]) == pytest.approx(tuple(expected), abs=0.05 * (expected[1] - expected[0]))


def test_drawing_in_small_blocks_gives_whole_numbers_of_draws_and_about_the_same(monkeypatch):
    first, second, items = drawn(150, 2, seed=1, shift=0.1)
    whole = compare_ranks(first, second, items, ["mrr"])["mrr"]
    monkeypatch.setattr(comparison, "NUMBERS_AT_ONCE", 150 * 7)
    small = compare_ranks(first, second, items, ["mrr"])["mrr"]
    assert small.p == pytest.approx(whole.p, abs=np.sqrt(2) * MONTE_CARLO)
    assert (small.p * (1 + DRAWS)) == pytest.approx(round(small.p * (1 + DRAWS)), abs=1e-6)
    assert (small.low, small.high) == pytest.approx((whole.low, whole.high), abs=0.1 * (whole.high - whole.low))


def test_sums_that_are_equal_but_for_rounding_count_as_equally_extreme():
    """Of 0.1 + 0.2 against 0.3: without tolerance one of two equal ways would be lost."""
    sums = np.array([[0.1], [0.2], [-0.3]])
    assert sign_flip_p(sums, np.random.default_rng(0)).tolist() == [1.0]
    assert sign_flip_p(np.array([[0.1], [0.2], [0.3]]), np.random.default_rng(0)).tolist() == [0.25]


def test_holm_agrees_with_the_procedure_step_by_step():
    """Reject the smallest at level / n, the next at level / (n - 1), and stop at the first that fails."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        p = generator.choice([0.001, 0.004, 0.012, 0.03, 0.2, 0.6], size=5)
        corrected = holm(p)
        for level in (0.01, 0.05, 0.1, 0.5):
            rejected = np.zeros(5, dtype=bool)
            for place, at in enumerate(np.argsort(p, kind="stable")):
                if p[at] > level / (5 - place):
                    break
                rejected[at] = True
            assert ((corrected <= level) == rejected).all()


def test_scores_are_those_whose_means_are_the_figures():
    ranks = np.array([1, 2, 5, 6])
    assert query_scores(ranks, "recall_at_5").tolist() == [1.0, 1.0, 1.0, 0.0]
    assert query_scores(ranks, "mrr").tolist() == [1.0, 0.5, 0.2, 1 / 6]


def test_what_is_no_mean_over_queries_is_refused():
    with pytest.raises(ValueError, match="'median_rank' is neither mrr nor recall_at_<k>"):
        query_scores(np.array([1]), "median_rank")
    with pytest.raises(ValueError, match="there is no query to compare"):
        compare_ranks(*(np.empty(0, dtype=np.int64) for _ in range(3)), ["mrr"])
