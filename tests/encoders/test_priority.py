"""Workers step back behind the encoder, and come forward when it waits for them."""

import multiprocessing
import os

import pytest

from fusemix.encoders.priority import call_workers_forward, step_back

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux has this kind of priority")


def worker(connection):
    step_back()
    connection.send(os.sched_getscheduler(0))
    connection.recv()
    connection.send(os.sched_getscheduler(0))


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
