"""How long indexing would take, from a few items, without writing anything.

Place in the flow: Indexing -> seconds.
"""

import time

import numpy as np

from fusemix.wiring.searching.index_plan import Indexing, Task
from fusemix.wiring.searching.indexing import LATENTS_AT_ONCE

ITEMS = 32


def seconds_of_indexing(indexing: Indexing) -> float:
    """How long all that is new would take, from a sample of each collection, without processes that read ahead."""
    return sum(_seconds_of_an_item(indexing, task) * len(task.new) for task in indexing.tasks if len(task.new))


def _seconds_of_an_item(indexing: Indexing, task: Task) -> float:
    embedder, collection = indexing.embedder, task.collection
    if collection.side is not None:
        latents = collection.side.take(collection.rows[task.new[:LATENTS_AT_ONCE]])
        started = time.perf_counter()
        embedder.adapted(collection.side.modality, latents)
        return (time.perf_counter() - started) / len(latents)
    places = np.unique(task.new[np.linspace(0, len(task.new) - 1, ITEMS).astype(np.int64)])
    embedder.encoders(collection.items.modality)  # loaded before the clock starts
    items, size = collection.items.take(places), indexing.config.batch_size
    started = time.perf_counter()
    how = {"batch_size": size, "num_workers": 0, "thumbnails": indexing.config.thumbnails}
    for _ in embedder.embed_items(items, [range(len(places))], advance=lambda count, rejected: None, **how):
        pass
    return (time.perf_counter() - started) / len(places)
