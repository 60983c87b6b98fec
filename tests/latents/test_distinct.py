"""What differs, counted; and passes over one set that are drawn at the same time."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fusemix.latents.batches import Links
from fusemix.latents.distinct import distinct_rows


@pytest.mark.parametrize("rows", [[], [0], [7, 0, 7, 3, 3, 3], list(range(50, 0, -1))])
def test_each_row_once_ascending_as_numpy_finds_them(rows):
    rows = np.array(rows, dtype=np.int64)
    np.testing.assert_array_equal(distinct_rows(rows), np.unique(rows))


def test_passes_that_are_drawn_at_once_are_those_that_are_drawn_one_after_the_other():
    links = Links(np.column_stack([np.repeat(np.arange(300), 5), np.arange(1500)]))

    def drawn(seed):
        return np.concatenate([*links.batches(20, np.random.default_rng(seed))])

    expected, before = [drawn(seed) for seed in range(8)], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = [*pool.map(drawn, range(8))]
    finally:
        sys.setswitchinterval(before)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
