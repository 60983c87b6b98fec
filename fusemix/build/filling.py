"""Fill the latent stores of one side: plan, encode, write in the background, seal.

Place in the flow: Items + Encoders + StoreWriters -> sealed stores. Reading and decoding (workers), encoding
(device) and writing (a thread) run at the same time. Every process encodes its share of the shards, so
that the result does not depend on how many there are; the first one seals.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lightning.fabric import Fabric

from fusemix.build.cache import num_workers
from fusemix.config import CacheConfig
from fusemix.discarding import goal_of
from fusemix.encoders.batch_size import find_batch_size
from fusemix.encoders.content import Digests, noting_digests
from fusemix.encoders.extract import Extracted, extract
from fusemix.encoders.preparing import prepared_sample
from fusemix.encoders.reading import Task
from fusemix.environment import give_back_freed_memory
from fusemix.interfaces import Encoder, Items, Rejected
from fusemix.latents.manifest import Manifest
from fusemix.latents.quarantine import refuse_mostly_bad
from fusemix.latents.writer import StoreWriter
from fusemix.parallel import decided_by_the_first, failing_together, stop_if_another_failed
from fusemix.progress import console, counting

SAMPLE_ROWS = 64
"""Items that the batch size is tried on."""
MOST_UNWRITTEN = 2
"""Finished shards that may wait to be written."""


class Side(NamedTuple):
    """One side of a latent set and the stores that are to be filled for it."""

    folder: Path
    items: Items
    encoders: dict[str, Encoder]
    writers: dict[str, StoreWriter]


def fill(side: Side, fabric: Fabric, config: CacheConfig) -> list[Manifest]:
    """Encode what is missing, and seal; returns the manifests, in the first process alone.

    Raises:
        FusemixError, OSError: any process had to stop; raised in the first one, while the others end without a word.
    """
    tasks = decided_by_the_first(fabric, lambda: missing_tasks(side.writers))

    def begun() -> dict[str, int]:
        sizes = batch_sizes(side, tasks, fabric, config)
        for slug, size in sizes.items():
            side.writers[slug].begin(size)
        return sizes

    sizes = decided_by_the_first(fabric, begun)
    for writer in side.writers.values():
        writer.look_again()
    tally = _Tally(side, config)

    def put(task: Task, of: dict[str, Extracted], digests: Sequence[int]) -> None:
        for slug, part in of.items():
            index = side.writers[slug].index_of(task.rows)
            side.writers[slug].write(index, part.latents, part.rejected, digests)

    with failing_together(fabric):
        encode(side, tasks[fabric.global_rank :: fabric.world_size], sizes, fabric, config, tally.add, put)
    with failing_together(fabric):
        return [writer.seal() for writer in side.writers.values()] if fabric.is_global_zero else []


def missing_tasks(writers: dict[str, StoreWriter]) -> list[Task]:
    """Shards that any store lacks, each with the stores that lack it, so that one reading serves them all."""
    wanted: dict[int, list[str]] = {}
    for slug, writer in writers.items():
        for index in writer.missing():
            wanted.setdefault(index, []).append(slug)
    spans = next(iter(writers.values())).spans
    return [Task(spans[index], tuple(slugs)) for index, slugs in sorted(wanted.items())]


def batch_sizes(side: Side, tasks: Sequence[Task], fabric: Fabric, config: CacheConfig) -> dict[str, int]:
    """Of each encoder that has work: as set, as the store was begun with, or measured."""
    sizes = {}
    for slug in dict.fromkeys(slug for task in tasks for slug in task.encoders):
        if not isinstance(config.batch_size, str):
            sizes[slug] = config.batch_size
        elif begun := side.writers[slug].batch_size:
            sizes[slug] = begun
        else:
            rows = np.unique(np.linspace(0, len(side.items) - 1, SAMPLE_ROWS).astype(int)).tolist()
            sample = prepared_sample(side.items, side.encoders[slug], rows)
            sizes[slug] = find_batch_size(side.encoders[slug], sample, fabric.device) if sample else 1
            console.print(f"  {slug}: batch_size=auto takes {sizes[slug]}")
    return sizes


@dataclass
class _Tally:
    """What was read so far, and what of it could not be used."""

    side: Side
    config: CacheConfig
    num_rows: int = 0
    rejected: dict[str, Rejected] = field(default_factory=dict)

    def add(self, num_rows: int, rejected: Sequence[Rejected]) -> None:
        self.num_rows += num_rows
        self.rejected |= {item.id: item for item in rejected}
        where, total = goal_of(self.side.folder) / self.side.items.modality, len(self.side.items)
        counts = (len(self.rejected), self.num_rows, total)
        refuse_mostly_bad(where, self.rejected.values(), *counts, self.config.max_bad_fraction)


Put = Callable[[Task, dict[str, Extracted], Sequence[int]], None]
"""Keeps what encoders gave for a task, and the digests of what was read for it."""


def encode(
    side: Side,
    tasks: Sequence[Task],
    sizes: dict[str, int],
    fabric: Fabric,
    config: CacheConfig,
    note: Callable[[int, Sequence[Rejected]], None],
    put: Put,
) -> None:
    """Encode this process's tasks, and keep what they give, in a thread.

    Args:
        side: items and encoders.
        tasks: of this process.
        sizes: items in one pass of each encoder.
        fabric: the processes.
        config: the settings.
        note: told of rows that were read, and of what was set aside among them.
        put: called in a thread, task by task.
    """
    num_rows = sum(len(task.rows) for task in tasks)
    if num_rows == 0:
        return
    seconds, started = defaultdict[str, float](float), time.monotonic()
    workers = num_workers(config, fabric)
    if workers:
        give_back_freed_memory()
    label = f"{goal_of(side.folder).name} {side.items.modality} {' '.join(sizes)}"
    with counting(label, num_rows) as advance, noting_digests(side.items) as (items, digests):

        def progress(count: int, rejected: Sequence[Rejected]) -> None:
            advance(count)
            stop_if_another_failed()
            note(count, rejected)

        extracted = extract(
            items,
            side.encoders,
            tasks,
            batch_sizes=sizes,
            num_workers=workers,
            device=fabric.device,
            advance=progress,
            seconds=seconds,
        )
        write_behind(put, digests, zip(tasks, extracted, strict=True), seconds)
    _tell_time(label, num_rows, time.monotonic() - started, seconds, workers)


def write_behind(
    put: Put,
    digests: Digests,
    shards: Iterator[tuple[Task, dict[str, Extracted]]],
    seconds: defaultdict[str, float],
) -> None:
    """Write shards in a thread while the next ones are encoded; all of them are written when this returns or raises."""

    def write(task: Task, of: dict[str, Extracted]) -> None:
        started = time.perf_counter()
        put(task, of, digests.of(task.rows))
        seconds["write"] += time.perf_counter() - started

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for task, of in shards:
            waiting.append(thread.submit(write, task, of))
            while len(waiting) > MOST_UNWRITTEN or (waiting and waiting[0].done()):
                waiting.popleft().result()
        for future in waiting:
            future.result()


def _tell_time(label: str, num_rows: int, total: float, seconds: defaultdict[str, float], workers: int) -> None:
    def spent(*stages: str) -> str:
        return ", ".join(f"{stage} {seconds[stage]:.1f} s" for stage in stages)

    where = f"{workers} worker{'s' if workers > 1 else ''}" if workers else "the same process"
    console.print(
        f"  {label}: {num_rows:,} in {total:.1f} s, {num_rows / total:,.1f}/s "
        f"(in {where}: {spent('read', 'decode', 'prepare')}; encoder: {spent('encode')}, waited for data "
        f"{seconds['wait']:.1f} s; behind: {spent('write')})"
    )
