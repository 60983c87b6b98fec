"""Processes that were started for a while, and must not outlive what started them.

Place in the flow: the first line of a child -> a thread that waits for its parent's end.
"""

import multiprocessing
import os
import threading
from multiprocessing import connection


def end_with_parent() -> None:
    """End this child when its parent has ended, however that happens: one that is stuck in a read would outlive it."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
