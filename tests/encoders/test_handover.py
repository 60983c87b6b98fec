"""Windows as one flat array: what comes out is what went in, and one open file carries it."""

from typing import NamedTuple

import pytest
import torch
from extracting import Letters, items_of, texts_of_all_lengths

from fusemix.encoders.handover import packed, unpacked
from fusemix.encoders.preparing import read_window


class Pair(NamedTuple):
    inputs: dict
    is_real: torch.Tensor


def tensors():
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64):
        yield torch.randn(3, 5, generator=generator).to(dtype)
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.int8, torch.bool):
        yield torch.randint(0, 2, (7,), generator=generator).to(dtype)
    yield torch.tensor(3.5)
    yield torch.empty(0, 4)
    yield torch.randn(2, 3, 4, 5, generator=generator).to(memory_format=torch.channels_last)
    yield torch.randn(4, 6, generator=generator).T
    yield torch.randn(9, 9, generator=generator)[::2, 1:7:3]
    yield torch.randn(3, 1, generator=generator).expand(3, 4)
    yield torch.randn(4, requires_grad=True, generator=generator)
    yield torch.randn(3, generator=generator, dtype=torch.complex64).conj()


@pytest.mark.parametrize("tensor", list(tensors()), ids=lambda t: f"{t.dtype}-{tuple(t.shape)}-{t.stride()}")
def test_a_tensor_comes_out_as_it_went_in(tensor):
    (out, before), text = unpacked(packed(([tensor, torch.tensor([1, 2, 3])], "text")))
    assert text == "text"
    assert out.dtype == tensor.dtype
    assert torch.equal(out, tensor.detach())
    assert before.tolist() == [1, 2, 3]
    assert out.stride() == tensor.clone().stride(), "an encoder may add up in another order where strides differ"


def test_any_nesting_comes_out_as_it_went_in():
    shared = torch.arange(6).reshape(2, 3)
    content = {"a": [Pair({"ids": shared, "more": (shared, None)}, torch.tensor([True]))], "b": ("x", 1.5, [b"y"])}
    out = unpacked(packed(content))
    (pair,) = out["a"]
    assert isinstance(pair, Pair)
    assert torch.equal(pair.inputs["ids"], shared)
    assert pair.inputs["more"][0] is pair.inputs["ids"]
    assert pair.is_real.tolist() == [True]
    assert out["b"] == content["b"]


def test_a_tensor_that_is_not_plain_numbers_in_a_row_comes_out_too():
    sparse = torch.eye(4).to_sparse()
    parameter = torch.nn.Parameter(torch.ones(2))
    out = unpacked(packed([sparse, parameter]))
    assert torch.equal(out[0].to_dense(), torch.eye(4))
    assert isinstance(out[1], torch.nn.Parameter)


def test_a_window_is_one_block_of_shared_memory_whatever_the_number_of_its_batches():
    class Tokens(Letters):
        def collate(self, prepared):
            return {"ids": torch.tensor([len(text) for text in prepared]), "mask": torch.ones(len(prepared))}

    texts = texts_of_all_lengths(300)
    encoders = {"one": Tokens(), "two": Tokens()}
    window = read_window(items_of("text", texts), range(300), encoders, {"one": 2, "two": 3})
    assert [len(batches.batches) for batches in window.of.values()] == [150, 100]
    parcel = packed(window)
    assert parcel.flat.is_shared()
    assert parcel.flat.ndim == 1
    assert sum(isinstance(field, torch.Tensor) for field in parcel) == 1
    out = unpacked(parcel)
    storage = parcel.flat.untyped_storage().data_ptr()
    for name, batches in out.of.items():
        assert batches.places == window.of[name].places
        for batch, expected in zip(batches.batches, window.of[name].batches, strict=True):
            assert all(tensor.untyped_storage().data_ptr() == storage for tensor in batch.values())
            assert all(torch.equal(batch[key], expected[key]) for key in expected)
