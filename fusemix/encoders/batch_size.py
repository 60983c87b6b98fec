"""How fast an encoder is at a batch size, and which size is best.

Place in the flow: an encoder and some of its items -> items in one pass. Too many cost memory, and on a CPU also
speed, since what does not fit into its caches is slow; too few leave a GPU idle.
"""

import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice

import torch

from fusemix.encoders.extract import is_out_of_memory
from fusemix.interfaces import Encoder, Prepared

SIZES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
ENOUGH = 0.93
"""A size is good enough when it reaches this share of the best rate; smaller ones leave memory free."""
PASSES = 3
"""The fastest counts: the first one warms up, and something else may disturb any of them."""
LONGEST_PASS_SEC = 4.0
"""The size of a pass that took longer is not doubled."""


def best_batch_size(rate_of: Callable[[int], float | None]) -> int:
    """The smallest size that is nearly as fast as the fastest.

    Args:
        rate_of: size -> items per second, or None where memory does not suffice; called with growing sizes
            until it gives None, a pass takes long, or the rate has fallen twice in a row.
    """
    rates: dict[int, float] = {}
    for size in SIZES:
        rate = rate_of(size)
        if rate is None:
            break
        rates[size] = rate
        last_two = list(rates.values())[-2:]
        if size / rate > LONGEST_PASS_SEC or (len(rates) > 2 and max(last_two) < ENOUGH * max(rates.values())):
            break
    if not rates:
        return 1
    return next(size for size, rate in rates.items() if rate >= ENOUGH * max(rates.values()))


def measured_rate(encoder: Encoder, prepared: Sequence[Prepared], size: int, device: torch.device) -> float | None:
    """Items per second in passes of one size, collated beforehand; None where they do not fit into memory.

    Args:
        encoder: on its device.
        prepared: at least one item; repeated where the size is larger.
        size: items in one pass.
        device: of the encoder, waited for.
    """
    batch = encoder.collate(list(islice(cycle(prepared), size)))
    try:
        return size / min(_seconds(encoder, batch, device) for _ in range(PASSES))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _seconds(encoder: Encoder, batch: object, device: torch.device) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        encoder.encode(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def find_batch_size(encoder: Encoder, prepared: Sequence[Prepared], device: torch.device) -> int:
    """Measure growing sizes on some items and take the best."""
    return best_batch_size(lambda size: measured_rate(encoder, prepared, size, device))
