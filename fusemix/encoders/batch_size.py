"""How fast an encoder is at a batch size, and which size is best.

Place in the flow: an encoder and some of its items -> items in one pass. Too many cost memory, and on a CPU also
speed, since what does not fit into its caches is slow; too few leave a GPU idle.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice

import torch

from fusemix.encoders.priority import Stopwatch
from fusemix.encoders.trouble import is_of_the_device, is_out_of_memory, one_line
from fusemix.errors import EncoderError
from fusemix.interfaces import Encoder, Prepared
from fusemix.machine.environment import prepare_device

SIZES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
ENOUGH = 0.95
"""A size is good enough when it reaches this share of the best rate; smaller ones leave memory free."""
LONG_PASS_SEC = 0.25
"""What a pass costs whatever its size (starting kernels, Python) is nothing beside this; larger sizes gain nothing."""
ROUNDS = 5
"""Each size is timed so often, in turns, since machines are slower at times; the fastest counts."""
LIKE = 4
"""Items of like length that a batch is made of, as batches of a sorted window are."""


def best_batch_size(seconds_of: Callable[[int], float | None]) -> int:
    """The smallest size that is nearly as fast as the fastest.

    Args:
        seconds_of: size -> what a pass takes, or None where memory does not suffice; called with growing sizes until
            that is so or a pass is long, then again with each of them in turns.
    """
    fastest: dict[int, float] = {}
    for size in SIZES:
        first, second = seconds_of(size), seconds_of(size)  # the first warms up
        if first is None or second is None:
            break
        fastest[size] = min(first, second)
        if fastest[size] > LONG_PASS_SEC:
            break
    for _ in range(ROUNDS - 1):
        for size in fastest:
            fastest[size] = min(fastest[size], seconds_of(size) or fastest[size])
    rates = {size: size / seconds for size, seconds in fastest.items()}
    return next((size for size, rate in rates.items() if rate >= ENOUGH * max(rates.values())), 1)


def seconds_of_a_pass(encoder: Encoder, batch: object, device: torch.device) -> float | None:
    """What one pass takes, beside nobody; None where it does not fit into memory.

    Args:
        encoder: on its device.
        batch: as the encoder's `collate` gives it.
        device: of the encoder, waited for.

    Raises:
        EncoderError: the encoder cannot take it, for another reason.
    """
    prepare_device(device)
    clock = Stopwatch(device)
    try:
        with torch.inference_mode():
            encoder.encode(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock.seconds()
    except Exception as error:
        if is_of_the_device(error):
            raise
        if not is_out_of_memory(error):
            raise EncoderError(
                f"items that were tried could not be encoded: {one_line(error)}. Set batch_size to a number: "
                "cache_features.py then finds those to blame and sets them aside."
            ) from error
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def typical_batch(encoder: Encoder, prepared: Sequence[Prepared], size: int) -> object:
    """A batch as it comes out of a sorted window: of like length, here those in the middle, repeated.

    Args:
        encoder: gives lengths, and collates.
        prepared: at least one item.
        size: items in the batch.
    """
    by_length = sorted(prepared, key=encoder.length)
    start = max(0, (len(by_length) - LIKE) // 2)
    return encoder.collate(list(islice(cycle(by_length[start : start + LIKE]), size)))


def find_batch_size(encoder: Encoder, prepared: Sequence[Prepared], device: torch.device) -> int:
    """Measure growing sizes on some items and take the best."""
    return best_batch_size(
        lambda size: seconds_of_a_pass(encoder, typical_batch(encoder, prepared, size), device),
    )
