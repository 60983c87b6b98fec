"""What a caching run would take, from a few items.

Place in the flow: CacheConfig + Encoder + Items -> rows, bytes, time and memory, without writing anything.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from lightning.fabric import Fabric

from fusemix.config import CacheConfig
from fusemix.encoders.batch_size import find_batch_size, seconds_of_a_pass, typical_batch
from fusemix.encoders.preparing import prepared_sample
from fusemix.errors import DatasetError, EncoderError
from fusemix.interfaces import Encoder, Items, PairSet, Prepared
from fusemix.machine.environment import peak_memory
from fusemix.wiring.caching.cache import encoders_of, fabric_of, num_workers, pair_set_of, with_dtypes

SAMPLE_ROWS, PASSES = 64, 3


class Estimate(NamedTuple):
    """What one encoder would take.

    Attributes:
        encoder: its name.
        num_rows: of all splits.
        dim: width of its latents.
        batch_size: as set, or measured; halved until the longest items fit into memory, as a run would do.
        num_bytes: of its latents on disk.
        rate: items per second of one device, reading included.
        seconds: for all rows, on one device.
        memory_bytes: peak on the GPU, or on the CPU of this process, encoder included; 0 on Windows.
    """

    encoder: str
    num_rows: int
    dim: int
    batch_size: int
    num_bytes: int
    rate: float
    seconds: float
    memory_bytes: int


def estimate(slug: str, encoder: Encoder, sides: Sequence[Items], config: CacheConfig, fabric: Fabric) -> Estimate:
    """Time an encoder, on its device, on a few items.

    The slower of encoding (one device) and of reading, decoding and preparing (all its workers) sets the rate.

    Raises:
        DatasetError: none of the items that were tried can be used.
        EncoderError: not even one item fits into memory.
    """
    rows = np.unique(np.linspace(0, len(sides[0]) - 1, SAMPLE_ROWS).astype(int)).tolist()
    started = time.perf_counter()
    sample = prepared_sample(sides[0], encoder, rows)
    reading = (time.perf_counter() - started) / len(rows) / max(1, num_workers(config, fabric))
    if not sample:
        raise DatasetError(f"none of {len(rows)} {encoder.modality} items that were tried could be used by {slug}.")
    if fabric.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(fabric.device)
    size = config.batch_size if isinstance(config.batch_size, int) else find_batch_size(encoder, sample, fabric.device)
    size = _fitting(slug, encoder, sample, size, fabric.device)
    batch = typical_batch(encoder, sample, size)
    encoding = min(seconds_of_a_pass(encoder, batch, fabric.device) or float("inf") for _ in range(PASSES)) / size
    rate = 1 / max(encoding, reading)
    num_rows = sum(map(len, sides))
    num_bytes = num_rows * encoder.dim * np.dtype(config.dtype).itemsize
    return Estimate(slug, num_rows, encoder.dim, size, num_bytes, rate, num_rows / rate, _peak_memory(fabric.device))


def estimates(config: CacheConfig, splits: Mapping[str, PairSet], fabric: Fabric) -> list[Estimate]:
    """What each encoder of a caching run would take, over all splits; see `estimate`.

    Args:
        config: with the dtypes that the run decides.
        splits: name of each split -> its pair set.
        fabric: of the run.
    """
    found = []
    for slug, encoder in encoders_of(config, next(iter(splits.values()))).items():
        encoder.to(str(fabric.device))
        sides = [items for pairs in splits.values() for items in pairs.sides if items.modality == encoder.modality]
        found.append(estimate(slug, encoder, sides, config, fabric))
    return found


def seconds_of_caching(config: CacheConfig) -> float:
    """Seconds that a caching run would take on one device; nothing is written."""
    fabric = fabric_of(config)
    config = with_dtypes(config, fabric)
    splits = {split: pair_set_of(config, split) for split in config.splits}
    return sum(one.seconds for one in estimates(config, splits, fabric))


def _fitting(slug: str, encoder: Encoder, sample: Sequence[Prepared], size: int, device: torch.device) -> int:
    longest = max(sample, key=encoder.length)
    while seconds_of_a_pass(encoder, encoder.collate([longest] * size), device) is None:
        size //= 2
        if not size:
            raise EncoderError(f"encoders.{slug}: not even one item fits into the memory of {device}.")
    return size


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()
