"""One byte a number: within its bound, the same as FAISS's, and nothing adds up where an index grows."""

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fusemix.search.precision import as_stored, bytes_of, exponents_of, ranges_of, vectors_of

ROWS = arrays(np.float32, (6, 3), elements=st.floats(-1, 1, width=32))


def unit(seed, count, dim):
    rows = np.random.default_rng(seed).standard_normal((count, dim)) * np.linspace(1, 0.05, dim)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@given(ROWS)
def test_a_range_is_the_least_power_of_two_that_holds_all(rows):
    ranges = ranges_of(exponents_of(rows))
    largest = np.abs(rows).max(axis=0)
    assert (largest <= ranges).all()
    assert ((ranges / 2 < largest) | (ranges == 2.0**-100)).all()


@given(ROWS)
def test_no_number_is_further_off_than_half_a_step_and_none_is_nan(rows):
    ranges = ranges_of(exponents_of(rows)).astype(np.float64)
    stored = as_stored(rows, "int8").astype(np.float64)
    assert (np.abs(stored - rows) <= ranges / 255 * (1 + 1e-4)).all()


@given(ROWS)
def test_what_was_rounded_once_stays_as_it_is(rows):
    ranges = ranges_of(exponents_of(rows))
    once = bytes_of(rows, ranges)
    np.testing.assert_array_equal(bytes_of(vectors_of(once, ranges), ranges), once)


def test_the_bytes_are_those_of_faiss():
    rows = unit(0, 400, 24)
    ranges = ranges_of(exponents_of(rows))
    index = faiss.index_factory(24, "SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(np.stack([-ranges, ranges]))
    np.testing.assert_array_equal(index.sa_encode(rows), bytes_of(rows, ranges))
    np.testing.assert_allclose(index.sa_decode(bytes_of(rows, ranges)), as_stored(rows, "int8"), atol=1e-7)


def test_scores_are_off_by_no_more_than_the_rounding_of_every_number():
    rows, queries = unit(0, 500, 32), unit(1, 50, 32)
    bound = np.abs(queries) @ ranges_of(exponents_of(rows)) / 255
    off = np.abs(queries @ as_stored(rows, "int8").T - queries @ rows.T)
    assert (off <= bound[:, None] + 1e-6).all()
    assert off.max() > bound.min() / 10, "they are rounded"


@pytest.mark.parametrize(("precision", "most"), [("float32", 0.0), ("float16", 2.0**-11), ("int8", 1 / 255)])
def test_precisions_differ_by_what_they_keep(precision, most):
    rows = unit(0, 100, 16)
    off = np.abs(as_stored(rows, precision) - rows).max()
    assert off <= most
    assert off > most / 20 or most == 0
