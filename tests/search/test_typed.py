"""What people type: a sum of quoted texts, or plain words."""

import time

import pytest
from typed_samples import SUMS, WORDS

from fusemix.search.typed import is_weight, terms_of


@pytest.mark.parametrize(("typed", "terms"), [*SUMS.items()])
def test_quoted_texts_with_signs_and_factors_are_a_sum(typed, terms):
    assert terms_of(typed) == terms


@pytest.mark.parametrize("typed", WORDS)
def test_what_is_not_wholly_a_sum_is_words_as_they_are(typed):
    assert terms_of(typed) == [(typed, 1)]


@pytest.mark.parametrize("piece", ['"', " ", '"a"', "1", "-", '"a" + ', '1*"', "“a” ", "1 * "])
def test_a_very_long_text_is_read_in_no_time(piece):
    started = time.process_time()
    terms_of(piece * 200_000)
    assert time.process_time() - started < 2


def test_a_weight_is_a_finite_number_in_its_range_and_not_0():
    good, bad = (1.0, -1.0, 0.001, 100.0, -100.0), (0.0, 100.5, -101.0, float("nan"), float("inf"))
    assert all(map(is_weight, good))
    assert not any(map(is_weight, bad))
    ((_, huge),) = terms_of(f'{"9" * 400}*"a"')
    assert huge == float("inf")
