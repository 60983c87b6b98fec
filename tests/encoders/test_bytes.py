"""Memory of a reading process: one picture at a time, and windows that end where they grow too large."""

import weakref

import numpy as np
import pytest
import torch
from extracting import Letters, items_of, run, run_all, texts_of_all_lengths
from PIL import Image

from fusemix.encoders import preparing
from fusemix.encoders.preparing import prepared_sample, read_window, size_of


class Shades(Letters):
    """Mean shades of a picture; notes how many pictures are still held when the next one is prepared."""

    modality = "image"

    def __init__(self):
        super().__init__()
        self.held, self._seen = [], []

    def prepare(self, contents):
        self.held.append(sum(seen() is not None for seen in self._seen) + len(contents))
        self._seen += map(weakref.ref, contents)
        return [np.asarray(picture, dtype=np.float32).mean(axis=(0, 1))[:2] for picture in contents]

    def length(self, prepared):
        return 1

    def collate(self, prepared):
        return torch.from_numpy(np.stack(prepared))

    def encode(self, batch):
        return batch


def test_a_picture_is_let_go_of_before_the_next_one_is_read(picture, file_of):
    raws = [file_of(picture(seed=seed)) for seed in range(12)]
    first, second = Shades(), Shades()
    (extracted,) = run_all(items_of("image", raws), {"first": first, "second": second}, batch_size=6)
    assert not extracted["first"].rejected
    assert set(first.held) == set(second.held) == {1}


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(preparing, "WINDOW_BYTES", 100)


@pytest.mark.usefixtures("small_windows")
def test_a_window_ends_where_what_is_prepared_grows_too_large():
    items = items_of("touch", ["x" * 30] * 10)
    window = read_window(items, range(10), {"it": Letters()}, {"it": 3})
    assert window.num_rows == 4
    assert window.of["it"].places == [[0, 1, 2], [3]]
    assert read_window(items, range(9, 10), {"it": Letters()}, {"it": 3}).num_rows == 1
    assert len(prepared_sample(items, Letters(), range(10))) == 4


@pytest.mark.usefixtures("small_windows")
def test_an_item_larger_than_a_window_is_a_window():
    assert read_window(items_of("touch", ["x" * 500] * 3), range(3), {"it": Letters()}, {"it": 3}).num_rows == 1


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("num_workers", [1, 2])
def test_what_does_not_fit_is_read_later_alike_with_and_without_workers(num_workers):
    raws = texts_of_all_lengths(90)
    raws[20] = raws[21] = raws[83] = OSError("gone")
    spans = [range(0, 50), range(50, 90)]
    encoders = {"one": Letters(), "two": Letters()}
    alone = run_all(items_of("touch", raws), encoders, spans, batch_size=16)
    composed = [sorted(map(tuple, encoder.batches)) for encoder in encoders.values()]
    again = {"one": Letters(), "two": Letters()}
    shared = run_all(items_of("touch", raws), again, spans, batch_size=16, num_workers=num_workers)
    for first, second in zip(alone, shared, strict=True):
        for name in encoders:
            assert np.array_equal(first[name].latents, second[name].latents, equal_nan=True)
            assert first[name].rejected == second[name].rejected
    assert [sorted(map(tuple, encoder.batches)) for encoder in again.values()] == composed
    lengths = np.concatenate([of["one"].latents[:, 0] for of in alone])
    expected = [np.nan if isinstance(raw, OSError) else len(raw) for raw in raws]
    assert np.array_equal(lengths, expected, equal_nan=True)


@pytest.mark.usefixtures("small_windows")
def test_a_batch_that_is_read_again_in_parts_is_encoded_whole():
    class Choosy(Letters):
        def encode(self, batch):
            if len(batch) > 1:
                raise ValueError("one at a time")
            return super().encode(batch)

    (encoded,) = run(items_of("touch", ["x" * length for length in range(20, 60)]), Choosy(), batch_size=8)
    assert encoded.latents[:, 0].tolist() == list(range(20, 60))


@pytest.mark.parametrize(
    ("prepared", "num_bytes"),
    [
        (np.zeros((3, 4), dtype=np.float32), 48),
        (torch.zeros(5, dtype=torch.int64), 40),
        ({"pixels": np.zeros(10, dtype=np.uint8), "more": [torch.zeros(2)]}, 18),
        ([(np.zeros(4, dtype=np.float32), 7)], 24),
        (Image.new("RGB", (20, 10)), 600),
        ("a dog", 5),
        ([1, 2, 3], 24),
    ],
    ids=["array", "tensor", "nested", "windows", "picture", "text", "tokens"],
)
def test_the_size_of_what_is_prepared_is_that_of_its_numbers(prepared, num_bytes):
    assert size_of(prepared) == num_bytes
