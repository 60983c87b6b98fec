"""Batches that do not fit into memory, and reading processes that are killed."""

import os
import signal

import pytest
import torch
from extracting import Letters, Small, items_of, run, texts_of_all_lengths

from fusemix.encoders.batch_size import seconds_of_a_pass
from fusemix.errors import EncoderError

LACKS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 31.75 GiB"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("Triton Error [CUDA]: CUDA_ERROR_OUT_OF_MEMORY"),
    RuntimeError("MPS backend out of memory (MPS allocated: 7.2 GB, other allocations: 1.1 GB, max allowed: 9.0 GB)."),
]
"""What torch says, in the words of its reports."""
BROKEN = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

# Memory


class Failing(Letters):
    """As Small; with an error of its own."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def encode(self, batch):
        if len(batch) > 3:
            raise self.error
        return super().encode(batch)


@pytest.mark.parametrize("error", LACKS, ids=lambda error: str(error)[:40])
def test_whatever_a_device_says_where_memory_is_lacking_batches_are_halved(error):
    texts = texts_of_all_lengths(20)
    (encoded,) = run(items_of("touch", texts), Failing(error), batch_size=8)
    assert encoded.latents[:, 0].tolist() == [len(text) for text in texts]
    assert seconds_of_a_pass(Failing(error), ["a"] * 4, torch.device("cpu")) is None


def test_a_device_that_fails_in_another_way_ends_the_run_as_no_item_and_no_size_is_to_blame():
    for attempt in (
        lambda: run(items_of("touch", texts_of_all_lengths(20)), Failing(BROKEN), batch_size=8),
        lambda: seconds_of_a_pass(Failing(BROKEN), ["a"] * 4, torch.device("cpu")),
    ):
        with pytest.raises(torch.AcceleratorError, match="illegal memory access"):
            attempt()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_batch_too_large_for_memory_is_halved_and_nothing_is_lost(num_workers):
    texts, small = texts_of_all_lengths(100), Small()
    (encoded,) = run(items_of("touch", texts), small, batch_size=8, num_workers=num_workers)
    assert encoded.latents[:, 0].tolist() == [len(text) for text in texts]
    assert not encoded.rejected


def test_once_halved_the_batches_that_follow_are_small_from_the_start():
    small = Small()
    run(items_of("touch", texts_of_all_lengths(40)), small, batch_size=8)
    failed = [batch for batch in small.batches if isinstance(batch, str)]
    assert failed == ["8 were too many", "4 were too many", "4 were too many"], "the first eight, and both their halves"


def test_an_item_that_alone_is_too_large_ends_the_run_with_advice():
    class Full(Letters):
        def encode(self, batch):
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )

    with pytest.raises(
        EncoderError, match=r"encoders.only: not even one item fits into the memory of cpu.*Use a smaller"
    ):
        run(items_of("text", ["a dog", "grass"]), Full())


def test_a_reading_process_that_is_killed_ends_the_run_with_advice():
    class Deadly(Letters):
        def prepare(self, contents):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(EncoderError, match=r"ended from outside: DataLoader worker.*--shm-size=8g"):
        run(items_of("text", ["a dog", "grass"]), Deadly(), num_workers=1)
