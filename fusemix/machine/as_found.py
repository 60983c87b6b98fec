"""What belongs to whoever calls fusemix from Python: it is left as it was found.

Place in the flow: a function of the Python API -> a command, in between -> the caller's own code again.

A command has its process to itself: it seeds random numbers, quiets Lightning, and chooses how float32 is multiplied.
In a notebook all of that is somebody else's. Not here: what cannot be taken back, such as the C library's way of
keeping freed memory.
"""

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from fusemix.progress import console

OF_SEEDING = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""Variables that Lightning sets when it seeds."""


@contextmanager
def as_found() -> Iterator[None]:
    """Put back random states, logging, warnings, signals, threads, precision and the console's state at the end.

    What is imported inside may set up loggers of its own; they did not belong to anybody before.
    """
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        for put_back in (_random(), _logging(), _signals(), _torch(), _variables(), _console()):
            stack.callback(put_back)
        yield


def _random() -> Callable[[], None]:
    python, numpy, on_cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(on_cpu)
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)

    return put_back


def _logging() -> Callable[[], None]:
    def loggers() -> list[logging.Logger]:
        known = list(logging.root.manager.loggerDict.values())
        return [logging.root, *(one for one in known if isinstance(one, logging.Logger))]

    states = [(one, one.level, one.propagate, one.disabled, [*one.handlers], [*one.filters]) for one in loggers()]
    disabled = logging.root.manager.disable

    def put_back() -> None:
        for one, level, propagate, is_disabled, handlers, filters in states:
            if one.level != level:  # to set it makes logging look through all loggers, of which there are thousands
                one.setLevel(level)
            one.propagate, one.disabled = propagate, is_disabled
            one.handlers[:], one.filters[:] = handlers, filters
        logging.disable(disabled)

    return put_back


def _signals() -> Callable[[], None]:
    if threading.current_thread() is not threading.main_thread():  # no other thread can change them
        return lambda: None
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def put_back() -> None:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return put_back


def _torch() -> Callable[[], None]:
    threads = torch.get_num_threads()
    precision = _read(torch.get_float32_matmul_precision)
    allows_tf32 = _read(lambda: torch.backends.cudnn.allow_tf32)

    def put_back() -> None:
        torch.set_num_threads(threads)
        if precision is not None:
            torch.set_float32_matmul_precision(precision)
        if allows_tf32 is not None:
            torch.backends.cudnn.allow_tf32 = allows_tf32

    return put_back


def _read(setting: Callable[[], Any]) -> Any:
    """A setting of torch's; None where it cannot be read, since it was set in torch's newer way."""
    try:
        return setting()
    except RuntimeError:
        return None


def _variables() -> Callable[[], None]:
    values = {name: os.environ.get(name) for name in OF_SEEDING}

    def put_back() -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return put_back


def _console() -> Callable[[], None]:
    quiet = console.quiet

    def put_back() -> None:
        console.quiet = quiet

    return put_back
