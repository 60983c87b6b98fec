"""Batches that do not fit into memory, and reading processes that are killed."""

import os
import signal

import pytest
from extracting import Letters, Small, items_of, run, texts_of_all_lengths

from fusemix.errors import EncoderError

# Memory


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
