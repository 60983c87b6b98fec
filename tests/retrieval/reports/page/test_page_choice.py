import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusemix.reports.page.choice import chosen_queries

QUERIES = st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.1, 0.2, 0.3])), max_size=30)


def choose(queries, count):
    ranks = np.array([rank for rank, _ in queries], dtype=np.int64)
    scores = np.array([score for _, score in queries], dtype=np.float64)
    return {kind: positions.tolist() for kind, positions in chosen_queries(ranks, scores, count).items()}


def test_best_typical_and_worst_come_from_the_ends_and_the_middle_of_the_order():
    queries = [(9, 0.1), (1, 0.9), (3, 0.5), (1, 0.8), (2, 0.5), (4, 0.5), (9, 0.2), (5, 0.5), (1, 0.9)]
    # In order: 1, 8, 3 | 4, 2, 5 | 7, 6, 0.
    assert choose(queries, 2) == {"best": [1, 8], "typical": [4, 2], "worst": [0, 6]}
    assert choose(queries, 3) == {"best": [1, 8, 3], "typical": [4, 2, 5], "worst": [0, 6, 7]}


@given(QUERIES, st.integers(0, 8))
def test_groups_are_slices_of_the_whole_order_that_never_overlap(queries, count):
    chosen = choose(queries, count)
    order = sorted(range(len(queries)), key=lambda place: (queries[place][0], -queries[place][1], place))
    assert chosen["best"] == order[: len(chosen["best"])]
    assert chosen["worst"] == order[::-1][: len(chosen["worst"])]
    together = chosen["best"] + chosen["typical"] + chosen["worst"][::-1]
    assert together == sorted(set(together), key=order.index)
    assert len(together) == min(3 * count, len(queries))
    sizes = [len(group) for group in chosen.values()]
    assert max(sizes) - min(sizes) <= 1, "few queries are shared evenly"


@given(QUERIES.filter(lambda queries: len(queries) >= 9))
def test_as_many_queries_are_better_than_the_typical_ones_as_are_worse(queries):
    order = sorted(range(len(queries)), key=lambda place: (queries[place][0], -queries[place][1], place))
    typical = choose(queries, 3)["typical"]
    better, worse = order.index(typical[0]), len(order) - 1 - order.index(typical[-1])
    assert abs(better - worse) <= 1


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="count is -1, but must be 0 or more"):
        choose([(1, 0.5)], -1)
