"""What belongs to whoever calls fusemix, and how it is read."""

import logging
import os
import random
import signal
import warnings

import numpy as np
import torch

from fusemix.progress import console


def loggers() -> dict[str, tuple]:
    named = {"": logging.root, **logging.root.manager.loggerDict}
    return {
        name: (one.level, one.propagate, one.disabled, [*one.handlers], [*one.filters])
        for name, one in named.items()
        if isinstance(one, logging.Logger)
    }


STATES = {
    "python's random numbers": random.getstate,
    "numpy's random numbers": lambda: [
        part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()
    ],
    "torch's random numbers": lambda: torch.get_rng_state().tolist(),
    "threads": torch.get_num_threads,
    "precision": torch.get_float32_matmul_precision,
    "tf32": lambda: torch.backends.cudnn.allow_tf32,
    "warnings": lambda: [*warnings.filters],
    "how a warning is shown": lambda: warnings.showwarning,
    "signals": lambda: {number: signal.getsignal(number) for number in signal.valid_signals()},
    "seeds for others": lambda: (os.environ.get("PL_GLOBAL_SEED"), os.environ.get("PL_SEED_WORKERS")),
    "the console": lambda: console.quiet,
}
"""What -> how it is read."""


def states() -> dict[str, object]:
    return {name: read() for name, read in STATES.items()}
