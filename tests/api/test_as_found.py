"""Whoever calls fusemix has a process of their own: what was set in it stays set."""

import logging
import os
import random
import signal
import threading
import warnings

import numpy as np
import pytest
import torch
from caller_states import STATES, loggers

from fusemix.machine.as_found import as_found
from fusemix.progress import console

CHANGES = {
    "python's random numbers": lambda: random.seed(5),
    "numpy's random numbers": lambda: np.random.seed(5),
    "torch's random numbers": lambda: torch.manual_seed(5),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", not torch.backends.cudnn.allow_tf32),
    "warnings": lambda: warnings.filterwarnings("ignore", "x"),
    "how a warning is shown": lambda: setattr(warnings, "showwarning", print),
    "signals": lambda: signal.signal(signal.SIGTERM, lambda *_: None),
    "seeds for others": lambda: os.environ.update(PL_GLOBAL_SEED="7"),
    "the console": lambda: setattr(console, "quiet", not console.quiet),
}


@pytest.mark.parametrize("name", STATES)
def test_what_is_changed_inside_is_put_back_also_after_an_error(name):
    before = STATES[name]()
    with as_found():
        CHANGES[name]()
        assert STATES[name]() != before
    assert STATES[name]() == before
    with pytest.raises(ZeroDivisionError), as_found():
        CHANGES[name]()
        _ = 1 / 0
    assert STATES[name]() == before


def test_loggers_of_before_are_put_back():
    mine = logging.getLogger("somebody.of.before")
    before = loggers()
    with as_found():
        mine.setLevel(logging.CRITICAL)
        mine.addHandler(logging.NullHandler())
        logging.root.setLevel(logging.DEBUG)
        mine.disabled = True
    assert loggers() == before


def test_another_thread_than_the_first_may_work_too():
    failed = []

    def work():
        try:
            with as_found():
                torch.manual_seed(1)
        except BaseException as error:
            failed.append(error)

    before = torch.get_rng_state()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
    assert torch.equal(torch.get_rng_state(), before)
