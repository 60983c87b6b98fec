"""Make things in another thread, a few ahead of the one that uses them.

Place in the flow: iterator -> the same iterator, whose next element is ready.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same elements, made in a thread of their own while earlier ones are used.

    An error in the thread is raised here, in its turn; where the user stops early, the thread stops too.

    Args:
        items: made by code that leaves Python's lock alone for most of its time, such as gathers of tensors.
        depth: elements that wait at the most.
    """
    iterator, end = iter(items), object()
    maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fusemix-ahead")
    try:
        waiting = deque(maker.submit(next, iterator, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(maker.submit(next, iterator, end))
            yield item  # pyright: ignore[reportReturnType]: an element, since it is not the end
    finally:
        maker.shutdown(cancel_futures=True)
