"""Which batch size is taken, from rates that are given and from rates that are measured."""

import itertools

import pytest
import torch
from extracting import Letters, Small

from fusemix.encoders.batch_size import best_batch_size, seconds_of_a_pass, typical_batch
from fusemix.errors import EncoderError


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({4: 1000, 8: 1900, 16: 3500, 32: 6000, 64: 10000, 128: 15000, 256: 18000, 512: 18400, 1024: 18500}, 256),
        ({4: 30, 8: 31, 16: 29}, 4),
        ({4: 100, 8: 200, 16: 300, 32: None}, 16),
        ({4: 0.5}, 4),
        ({4: None}, 1),
    ],
    ids=["gains ever less", "a CPU", "memory ends", "very slow", "nothing fits"],
)
def test_the_smallest_size_that_is_nearly_fastest_is_taken(rates, best):
    assert best_batch_size(lambda size: size / rates[size] if rates[size] else None) == best


def test_a_size_whose_passes_are_long_is_the_largest_that_is_tried():
    asked = []

    def seconds_of(size):
        asked.append(size)
        return size / 100

    assert best_batch_size(seconds_of) == 4
    assert set(asked) == {4, 8, 16, 32}
    assert len({asked.count(size) for size in asked}) == 1


@pytest.mark.parametrize("slow", range(6))
def test_a_machine_that_is_slow_for_a_while_changes_nothing(slow):
    """Whatever is timed during one of six periods takes five times as long."""
    passes = itertools.count()

    def seconds_of(size):
        return size / {4: 1e4, 8: 1.9e4, 16: 3e4}.get(size, 3.02e4) * (5 if next(passes) // 9 == slow else 1)

    assert best_batch_size(seconds_of) == 16


def test_memory_that_ends_later_is_no_reason_to_drop_a_size():
    passes = itertools.count()
    assert best_batch_size(lambda size: size / 20 if next(passes) < 2 else None) == 4


def test_a_typical_batch_is_of_items_of_like_length_repeated():
    texts = ["a" * length for length in (9, 1, 7, 3, 5, 8, 2, 6, 4, 10)]
    assert sorted(map(len, typical_batch(Letters(), texts, 8))) == [4, 4, 5, 5, 6, 6, 7, 7]
    assert typical_batch(Letters(), ["a"], 3) == ["a", "a", "a"]


def test_a_pass_that_does_not_fit_into_memory_has_no_time():
    small = Small()
    assert seconds_of_a_pass(small, ["a"] * 3, torch.device("cpu")) > 0
    assert seconds_of_a_pass(small, ["a"] * 4, torch.device("cpu")) is None
    assert small.batches == [["a"] * 3, "4 were too many"]


def test_items_that_cannot_be_encoded_are_a_message_that_says_what_to_do():
    class Broken(Letters):
        def encode(self, batch):
            raise RuntimeError("shapes do not fit")

    with pytest.raises(EncoderError, match=r"not be encoded: RuntimeError: shapes do not fit\. Set batch_size to a"):
        seconds_of_a_pass(Broken(), ["a"], torch.device("cpu"))
