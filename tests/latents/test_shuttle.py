"""Two pinned buffers in turns, on a device that copies as late as it may: what a GPU may do, a CPU shows here."""

import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from fusemix.latents.ahead import ahead
from fusemix.latents.shuttle import BUFFERS, Direct, OnItsWay, Shuttle


class Lazy:
    """A stream that does nothing before somebody waits for it, and then no more than it must."""

    def __init__(self) -> None:
        self.todo: list = []
        self.done = 0
        self.lock = threading.Lock()

    def run(self, until: int | None = None) -> None:
        with self.lock:
            while self.done < (len(self.todo) if until is None else until):
                self.todo[self.done]()
                self.done += 1


class Moment:
    """What a stream has been told until now, done."""

    def __init__(self, stream: Lazy) -> None:
        self.stream, self.until = stream, len(stream.todo)

    def synchronize(self) -> None:
        self.stream.run(self.until)


class Late:
    """A device with a stream of copies and one that computes."""

    def __init__(self) -> None:
        self.copies, self.computing = Lazy(), Lazy()
        self.buffers: list[int] = []

    def buffer(self, num_bytes: int) -> Tensor:
        self.buffers.append(num_bytes)
        return torch.empty(num_bytes, dtype=torch.uint8)

    def copy(self, values: Tensor) -> tuple[Tensor, Moment]:
        there = torch.full_like(values, -1)
        self.copies.todo.append(lambda: there.copy_(values))
        return there, Moment(self.copies)

    def receive(self, values: Tensor, copied: Moment) -> Moment:
        self.computing.todo.append(copied.synchronize)
        return Moment(self.computing)

    def compute(self, what) -> None:
        self.computing.todo.append(what)


def send(shuttle, rows: Tensor) -> OnItsWay:
    return shuttle.send(tuple(rows.shape), rows.dtype, lambda out: out.copy_(rows))


def batches(count: int = 9) -> list[Tensor]:
    sizes = [4, 4, 2, 7, 7, 1, 7, 3, 4]
    return [torch.randn(size, 5, dtype=torch.float64) for size in sizes[:count]]


@pytest.mark.parametrize("ahead_of_time", [False, True])
def test_what_steps_see_is_what_was_sent_though_buffers_are_filled_again(ahead_of_time):
    sent, device, seen = batches(), Late(), []
    shuttle = Shuttle(device)
    underway = (send(shuttle, rows) for rows in sent)
    for coming in ahead(underway) if ahead_of_time else underway:
        coming.arrive()
        device.compute(lambda coming=coming: seen.append(coming.values.clone()))
    device.computing.run()
    assert len(seen) == len(sent)
    assert all(map(torch.equal, seen, sent))


def test_buffers_are_made_once_and_anew_only_for_a_larger_batch():
    device = Late()
    shuttle = Shuttle(device)
    for rows in [torch.ones(8, 3)] * 10 + [torch.ones(2, 3, dtype=torch.float16)] * 4:
        send(shuttle, rows).arrive()
    assert device.buffers == [8 * 3 * 4] * BUFFERS
    for _ in range(4):
        send(shuttle, torch.ones(9, 3)).arrive()
    assert device.buffers == [8 * 3 * 4] * BUFFERS + [9 * 3 * 4] * BUFFERS


def test_the_host_fills_one_buffer_while_the_other_is_copied():
    device = Late()
    shuttle = Shuttle(device)
    for rows in batches(BUFFERS):
        send(shuttle, rows)
    assert device.copies.done == 0
    send(shuttle, batches(1)[0])
    assert device.copies.done == 1  # the second may still be under way


def test_the_host_does_not_run_away_from_the_device():
    """Batches that no step has come to would pile up in the device's memory."""
    device, steps, far = Late(), [], []
    shuttle = Shuttle(device)
    for number in range(12):
        send(shuttle, torch.ones(1)).arrive()
        device.compute(lambda number=number: steps.append(number))
        far.append(number + 1 - len(steps))
    assert max(far) == 3  # the one just given out, and two that are waited for by nobody yet


def test_rows_go_straight_to_a_cpu():
    rows = torch.from_numpy(np.arange(6.0).reshape(2, 3))
    coming = send(Direct(torch.device("cpu")), rows)
    assert torch.equal(coming.values, rows)
