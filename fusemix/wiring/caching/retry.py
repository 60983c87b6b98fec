"""Encode again what finished shards have set aside, and leave everything else in them as it is.

Place in the flow: StoreWriters with rejected items -> the same, with latents where there are some now.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from lightning.fabric import Fabric

from fusemix.config import CacheConfig
from fusemix.encoders.extract import Given
from fusemix.encoders.reading import Task
from fusemix.machine.parallel import decided_by_the_first, failing_together
from fusemix.progress import console
from fusemix.wiring.caching.filling import Side, batch_sizes, encode


class _Plan(NamedTuple):
    """Rows of the side that are read again, and the tasks that these are cut into."""

    rows: Int64[np.ndarray, " rows"]
    tasks: list[Task]


def retry_rejected(side: Side, fabric: Fabric, config: CacheConfig) -> None:
    """Give items without latent another chance, also in stores that are sealed; these are to be sealed again.

    Args:
        side: one side of a latent set.
        fabric: the processes that share the work.

    Raises:
        FusemixError, OSError: any process had to stop; raised in the first one, while the others end without a word.
    """
    before = decided_by_the_first(fabric, lambda: {slug: writer.set_aside() for slug, writer in side.writers.items()})
    plan = _planned(before)
    if not plan.tasks:
        return
    part = side._replace(items=side.items.take(plan.rows))
    sizes = decided_by_the_first(fabric, lambda: batch_sizes(part, plan.tasks, fabric, config))
    with failing_together(fabric):
        for writer in side.writers.values():
            writer.look_again()

        def put(task: Task, given: Given, digests: Sequence[int]) -> None:
            rows = plan.rows[task.rows.start : task.rows.stop]
            for slug, found in given.of.items():
                writer = side.writers[slug]
                index = writer.index_of(range(int(rows[0]), int(rows[-1]) + 1))
                writer.fill(index, rows, found.latents, found.rejected, digests)

        tasks = plan.tasks[fabric.global_rank :: fabric.world_size]
        encode(part, tasks, sizes, fabric, config, lambda count, rejected: None, put)
    if fabric.is_global_zero:
        _tell(side, {slug: sum(map(len, shards.values())) for slug, shards in before.items()})


def _planned(set_aside: dict[str, dict[int, Int64[np.ndarray, " rows"]]]) -> _Plan:
    """A task for each shard in which an encoder has set something aside."""
    rows, tasks, at = [np.zeros(0, dtype=np.int64)], [], 0
    for index in sorted({index for shards in set_aside.values() for index in shards}):
        wanted = {slug: shards[index] for slug, shards in set_aside.items() if index in shards}
        here = np.unique(np.concatenate(list(wanted.values())))
        rows.append(here)
        tasks.append(Task(range(at, at + len(here)), tuple(wanted)))
        at += len(here)
    return _Plan(np.concatenate(rows), tasks)


def _tell(side: Side, before: dict[str, int]) -> None:
    for slug, writer in side.writers.items():
        left = sum(map(len, writer.set_aside().values()))
        if before[slug]:
            console.print(
                f"  {side.items.modality}/{slug}: {before[slug] - left:,} of {before[slug]:,} items that had been set "
                "aside have a latent now"
            )
