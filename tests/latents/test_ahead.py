import threading
import time
from collections.abc import Iterator

import pytest

from fusemix.latents.ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("fusemix-ahead")]


def test_elements_come_in_order_and_the_thread_ends():
    assert list(ahead(range(50))) == list(range(50))
    assert not threads()


def test_no_more_elements_are_made_than_may_wait():
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    stream = ahead(items(), depth=2)
    assert next(stream) == 0
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2]  # one is in use, two wait
    stream.close()
    assert not threads()


def test_an_error_comes_after_what_was_made_before_it():
    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk on fire")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(OSError, match="disk on fire"):
        next(stream)
    assert not threads()
