"""Workers step back behind the encoder, and come forward when it waits for them."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from fusemix.encoders.priority import call_workers_forward, step_back, unhindered_time

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux has this kind of priority")


def worker(connection):
    step_back()
    connection.send(os.sched_getscheduler(0))
    connection.recv()
    connection.send(os.sched_getscheduler(0))


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").is_file(), reason="this kernel does not tell")
def test_waiting_for_a_core_is_no_reading_time():
    """Three processes on one core: of what passes, each has a third, and sleep counts whole."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    others = [multiprocessing.get_context("fork").Process(target=compute, args=(5.0,)) for _ in range(2)]
    try:
        for other in others:
            other.start()
        started, unhindered = time.perf_counter(), unhindered_time()
        while time.perf_counter() - started < 1.0:
            pass
        passed = time.perf_counter() - started
        assert 0.1 * passed < unhindered_time() - unhindered < 0.7 * passed
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


def test_a_worker_steps_back_until_it_is_called_forward():
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=worker, args=(theirs,))
    process.start()
    assert ours.recv() == os.SCHED_IDLE
    call_workers_forward()
    ours.send("called")
    assert ours.recv() == os.SCHED_OTHER
    process.join()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
