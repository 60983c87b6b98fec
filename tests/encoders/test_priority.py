"""Workers step back behind the encoder, until it waits long for them."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
from extracting import Letters, items_of, run, texts_of_all_lengths

from fusemix.encoders import reading
from fusemix.encoders.priority import unhindered_time

if not hasattr(os, "SCHED_IDLE"):
    pytest.skip("Linux has this kind of priority", allow_module_level=True)


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").is_file(), reason="this kernel does not tell")
def test_waiting_for_a_core_is_no_reading_time():
    """Three processes on one core: of what passes, each has a third at most, and sleep counts whole."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    others = [multiprocessing.get_context("fork").Process(target=compute, args=(5.0,)) for _ in range(2)]
    try:
        for other in others:
            other.start()
        started, unhindered, computed = time.perf_counter(), unhindered_time(), time.thread_time()
        while time.perf_counter() - started < 1.0:
            pass
        passed, computed = time.perf_counter() - started, time.thread_time() - computed
        counted = unhindered_time() - unhindered
        assert counted < 0.7 * passed
        assert abs(counted - computed) < 0.1 * passed
        unhindered = unhindered_time()
        time.sleep(0.5)
        assert unhindered_time() - unhindered > 0.4
    finally:
        for other in others:
            other.kill()
        os.sched_setaffinity(0, before)


def compute(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


class Policies(Letters):
    """Gives for each item how the process that prepared it is scheduled."""

    def prepare(self, contents):
        return [os.sched_getscheduler(0)] * len(contents)

    def length(self, prepared):
        return 1

    def encode(self, batch):
        return torch.tensor([[float(policy), 0.0] for policy in batch])


@pytest.mark.parametrize(("long_wait", "last"), [(1e9, os.SCHED_IDLE), (0.0, os.SCHED_OTHER)])
def test_workers_step_back_until_the_encoder_has_waited_long_for_them(long_wait, last, monkeypatch):
    monkeypatch.setattr(reading, "LONG_WAIT_SEC", long_wait)
    (encoded,) = run(items_of("touch", ["rough"] * 200), Policies(), batch_size=4, num_workers=2)
    policies = encoded.latents[:, 0].tolist()
    assert policies[0] == os.SCHED_IDLE
    assert set(policies[4:]) == {last}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_workers_that_take_over_go_on_where_the_others_were(monkeypatch):
    monkeypatch.setattr(reading, "LONG_WAIT_SEC", 0.0)
    texts = texts_of_all_lengths(150)
    (encoded,) = run(items_of("text", texts), Letters(), batch_size=4, num_workers=2)
    assert encoded.latents[:, 0].tolist() == [len(text) for text in texts]
