"""Which batch size is taken, from rates that are given and from rates that are measured."""

import pytest
import torch

from fusemix.encoders.batch_size import SIZES, best_batch_size, measured_rate


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({4: 10, 8: 19, 16: 35, 32: 60, 64: 100, 128: 150, 256: 180, 512: 184, 1024: 185}, 256),
        ({4: 30, 8: 31, 16: 29, 32: 20, 64: 15}, 4),
        ({4: 10, 8: 20, 16: 30, 32: None}, 16),
        ({4: 0.5}, 4),
        ({4: None}, 1),
    ],
    ids=["gains ever less", "a CPU", "memory ends", "very slow", "nothing fits"],
)
def test_the_smallest_size_that_is_nearly_fastest_is_taken(rates, best):
    assert best_batch_size(lambda size: rates[size]) == best


def test_measuring_stops_where_larger_sizes_only_lose():
    asked = []

    def rate_of(size):
        asked.append(size)
        return {4: 100.0, 8: 50.0, 16: 40.0}[size]

    assert best_batch_size(rate_of) == 4
    assert asked == list(SIZES[:3])


class Counting:
    """Takes eight items at once, and no more."""

    modality, dim, sample_rate = "text", 1, None

    def __init__(self):
        self.sizes, self.fingerprint = [], {}

    def to(self, device):
        return self

    def prepare(self, contents):
        return list(contents)

    def length(self, prepared):
        return 1

    def collate(self, prepared):
        return list(prepared)

    def encode(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.zeros(len(batch), 1)


def test_few_items_are_repeated_to_fill_a_batch_and_no_memory_is_no_rate():
    encoder = Counting()
    assert measured_rate(encoder, ["a", "b", "c"], 8, torch.device("cpu")) > 0
    assert measured_rate(encoder, ["a"], 16, torch.device("cpu")) is None
    assert encoder.sizes == [8, 8, 8, 16]


def test_another_error_than_memory_is_raised():
    class Broken(Counting):
        def encode(self, batch):
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        measured_rate(Broken(), ["a"], 4, torch.device("cpu"))
