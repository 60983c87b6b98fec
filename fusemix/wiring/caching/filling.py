"""Fill the latent stores of one side: plan, encode, write in the background, seal.

Place in the flow: Items + Encoders + StoreWriters -> sealed stores. Reading and decoding (workers), encoding
(device) and writing (a thread) run at the same time. Every process encodes its share of the shards, so
that the result does not depend on how many there are; the first one seals.
"""

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lightning.fabric import Fabric

from fusemix.config import CacheConfig
from fusemix.disk.discarding import goal_of
from fusemix.disk.shares import ALONE, Beside
from fusemix.encoders.batch_size import find_batch_size
from fusemix.encoders.content import Digests, noting_digests
from fusemix.encoders.extract import Given, extract
from fusemix.encoders.preparing import prepared_sample
from fusemix.encoders.reading import Done, Task
from fusemix.interfaces import Encoder, Items, Rejected
from fusemix.latents.manifest import Manifest
from fusemix.latents.parts import Part
from fusemix.latents.quarantine import SHOWN, refuse_mostly_bad
from fusemix.latents.writer import StoreWriter
from fusemix.machine.parallel import decided_by_the_first, failing_together, stop_if_another_failed
from fusemix.progress import console, counting
from fusemix.wiring.caching.cache import num_workers

PART_SEC = 30.0
"""What was encoded of a shard that is not whole is kept so often; a killed run loses that, and what is in work."""
SAMPLE_ROWS = 64
"""Items that the batch size is tried on."""
MOST_UNWRITTEN = 2
"""Finished shards and parts that may wait to be written."""


class Side(NamedTuple):
    """One side of a latent set and the stores that are to be filled for it."""

    folder: Path
    items: Items
    encoders: dict[str, Encoder]
    writers: dict[str, StoreWriter]


def fill(side: Side, fabric: Fabric, config: CacheConfig, beside: Beside = ALONE) -> list[Manifest]:
    """Encode what is missing of this command's share, and seal what is complete then.

    Returns:
        The manifests of sealed stores, in the first process alone.

    Raises:
        FusemixError, OSError: any process had to stop; raised in the first one, while the others end without a word.
    """
    tasks = decided_by_the_first(fabric, lambda: missing_tasks(side.writers, beside))

    def begun() -> dict[str, int]:
        with beside.moment():  # other jobs take the batch size that the first one has found
            if beside.share:
                read_again(side)
            sizes = batch_sizes(side, tasks, fabric, config)
            for slug in dict.fromkeys(slug for task in tasks for slug in task.encoders):
                side.writers[slug].begin(sizes[slug])
        return sizes

    sizes = decided_by_the_first(fabric, begun)
    for writer in side.writers.values():
        writer.look_again()

    def put(task: Task, given: Given, digests: Sequence[int]) -> None:
        for slug, found in given.of.items():
            writer, places = side.writers[slug], found.rows - task.rows.start
            part = Part(found.rows, found.latents, found.rejected, np.array(digests, dtype=np.uint64)[places])
            (writer.finish if given.is_last else writer.parts.keep)(writer.index_of(task.rows), part)

    with failing_together(fabric):
        mine = [_with_parts(side, task, config) for task in tasks[fabric.global_rank :: fabric.world_size]]
        where = goal_of(side.folder) / side.items.modality
        tally = Tally(where, len(side.items), mine, config.max_bad_fraction)
        encode(side, mine, sizes, fabric, config, tally.add, put, PART_SEC)
    with failing_together(fabric):
        return sealed(side, beside) if fabric.is_global_zero else []


def read_again(side: Side) -> None:
    """Find out what other jobs have made of the stores."""
    for writer in side.writers.values():
        writer.read_again()


def sealed(side: Side, beside: Beside) -> list[Manifest]:
    """Seal the stores of a side; beside other jobs those that are complete, which whoever comes last finds."""
    if not beside.share:
        return [writer.seal() for writer in side.writers.values()]
    with beside.moment():
        read_again(side)
        return [writer.seal() for writer in side.writers.values() if not writer.missing()]


def missing_tasks(writers: dict[str, StoreWriter], beside: Beside = ALONE) -> list[Task]:
    """Shards that any store lacks, each with the stores that lack it, so that one reading serves them all."""
    wanted: dict[int, list[str]] = {}
    for slug, writer in writers.items():
        for index in filter(beside.has, writer.missing()):
            wanted.setdefault(index, []).append(slug)
    spans = next(iter(writers.values())).spans
    return [Task(spans[index], tuple(slugs)) for index, slugs in sorted(wanted.items())]


def _with_parts(side: Side, task: Task, config: CacheConfig) -> Task:
    """The same, with what is done of it; items that were set aside may be tried again."""
    done = {}
    for slug in task.encoders:
        is_done, rejected = side.writers[slug].parts.done(side.writers[slug].index_of(task.rows))
        if rejected and config.retry_rejected:
            ids = side.items.table["id"].slice(task.rows.start, len(task.rows)).to_pylist()
            aside = {item.id for item in rejected}
            is_done[[item in aside for item in ids]] = False
            rejected = ()
        if is_done.any():
            done[slug] = Done(is_done, tuple(rejected))
    if done:
        most = max(int(one.is_done.sum()) for one in done.values())
        console.print(
            f"  {goal_of(side.folder).name} {side.items.modality} {' '.join(done)}: going on with rows "
            f"{task.rows.start:,} to {task.rows[-1]:,}, of which {most:,} were encoded before"
        )
    return task._replace(done=done)


def batch_sizes(side: Side, tasks: Sequence[Task], fabric: Fabric, config: CacheConfig) -> dict[str, int]:
    """Of each encoder: as set, as the store was begun with, or measured where it has work.

    Those without work count, too, where texts are sorted together: a run that goes on is to cut them as before.
    """
    sizes, at_work = {}, {slug for task in tasks for slug in task.encoders}
    for slug in side.encoders:
        if not isinstance(config.batch_size, str):
            sizes[slug] = config.batch_size
        elif begun := side.writers[slug].batch_size:
            sizes[slug] = begun
        elif slug in at_work:
            rows = np.unique(np.linspace(0, len(side.items) - 1, SAMPLE_ROWS).astype(int)).tolist()
            sample = prepared_sample(side.items, side.encoders[slug], rows)
            sizes[slug] = find_batch_size(side.encoders[slug], sample, fabric.device) if sample else 1
            console.print(f"  {slug}: batch_size=auto takes {sizes[slug]}")
    return sizes


class Tally:
    """How much was read so far, and how much of it could not be used; an item counts once, whatever encoders say.

    It holds some of the items that were set aside, and numbers: with millions of them a window takes no longer.

    Args:
        folder: of the stores, for messages.
        num_items: of the side.
        tasks: of this process; what was set aside of their parts counts from the start.
        max_bad_fraction: share in [0, 1].
    """

    def __init__(self, folder: Path, num_items: int, tasks: Sequence[Task], max_bad_fraction: float) -> None:
        self._folder, self._num_items, self._most = folder, num_items, max_bad_fraction
        before = {item.id: item for task in tasks for done in task.done.values() for item in done.rejected}
        self._before, self._first = frozenset(before), list(before.values())[:SHOWN]
        self.num_rows, self.num_rejected = 0, len(before)

    def add(self, num_rows: int, rejected: Sequence[Rejected]) -> None:
        """Count a window, whose encoders have all said what they set aside of it.

        Raises:
            LatentStoreError: too many could not be used.
        """
        fresh = {item.id: item for item in rejected if item.id not in self._before}
        self.num_rows += num_rows
        self.num_rejected += len(fresh)
        self._first += list(fresh.values())[: SHOWN - len(self._first)]
        counts = (self.num_rejected, self.num_rows, self._num_items)
        refuse_mostly_bad(self._folder, self._first, *counts, self._most)


Put = Callable[[Task, Given, Sequence[int]], None]
"""Keeps what encoders gave for a task or a part of it, with the digests of what was read of its rows."""


def encode(
    side: Side,
    tasks: Sequence[Task],
    sizes: dict[str, int],
    fabric: Fabric,
    config: CacheConfig,
    note: Callable[[int, Sequence[Rejected]], None],
    put: Put,
    part_sec: float = math.inf,
) -> None:
    """Encode this process's tasks, and keep what they give, in a thread.

    Args:
        side: items and encoders.
        tasks: of this process.
        sizes: items in one pass of each encoder.
        fabric: the processes.
        note: told of rows that were read, and of what was set aside among them.
        put: called in a thread, task by task, or part by part.
        part_sec: seconds that a part takes; tasks are given whole by default.
    """
    num_rows = sum(len(task.rows) for task in tasks)
    if num_rows == 0:
        return
    seconds, started = defaultdict[str, float](float), time.monotonic()
    workers = num_workers(config, fabric)
    slugs = dict.fromkeys(slug for task in tasks for slug in task.encoders)
    label = f"{goal_of(side.folder).name} {side.items.modality} {' '.join(slugs)}"
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
            part_sec=part_sec,
        )
        write_behind(put, digests, tasks, extracted, seconds)
    _tell_time(label, num_rows, time.monotonic() - started, seconds, workers)


def write_behind(
    put: Put,
    digests: Digests,
    tasks: Sequence[Task],
    parts: Iterator[Given],
    seconds: defaultdict[str, float],
) -> None:
    """Write shards and parts in a thread while the next are encoded; all are written when this returns or raises."""

    def write(task: Task, given: Given) -> None:
        started = time.perf_counter()
        put(task, given, digests.of(task.rows))
        seconds["write"] += time.perf_counter() - started

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for given in parts:
            waiting.append(thread.submit(write, tasks[given.task], given))
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
