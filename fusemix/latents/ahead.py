"""Make things in another thread, a few ahead of the one that uses them.

Place in the flow: iterator -> the same iterator, whose next element is ready.
"""

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
WAIT_SEC = 0.2
"""How long either side waits before it looks whether the other is still there."""


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same elements, made in a thread of their own while earlier ones are used.

    An error in the thread is raised here, in its turn; where the user stops early, the thread stops too.

    Args:
        items: made by code that leaves Python's lock alone for most of its time, such as gathers of tensors.
        depth: elements that wait at the most.
    """
    maker = _Maker(items, depth)
    maker.start()
    try:
        while not isinstance(made := maker.next(), _End):
            yield made
        if made.error:
            raise made.error
    finally:
        maker.stopped.set()
        maker.join()


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Maker(threading.Thread, Generic[T]):
    def __init__(self, items: Iterable[T], depth: int) -> None:
        super().__init__(name="fusemix-ahead", daemon=True)
        self._items, self._waiting = items, Queue(depth)
        self.stopped = threading.Event()

    def run(self) -> None:
        error = None
        try:
            for item in self._items:
                self._put(item)
                if self.stopped.is_set():
                    return
        except BaseException as raised:
            error = raised
        self._put(_End(error))

    def _put(self, item: T | _End) -> None:
        while not self.stopped.is_set():
            try:
                return self._waiting.put(item, timeout=WAIT_SEC)
            except Full:
                continue

    def next(self) -> T | _End:
        while True:
            try:
                return self._waiting.get(timeout=WAIT_SEC)
            except Empty:
                continue
