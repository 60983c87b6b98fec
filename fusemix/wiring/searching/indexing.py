"""Indexing, wired: what is new in a folder or latent set -> embeddings -> segments of an index.

Place in the flow: Indexing (index_plan.py) -> index folder.

Embeddings of a folder are kept part by part while they are made (done_so_far.py), so that a command that was killed
goes on where it stopped. With `overwrite`, the index that is there stays until the new one is whole.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from fusemix.disk.files import read_jsonl, write_jsonl
from fusemix.errors import EncoderError
from fusemix.interfaces import Rejected
from fusemix.machine.limits import usable_cores
from fusemix.models.embedder import Embedded
from fusemix.remote.paths import Remote, located
from fusemix.search.description import (
    QUARANTINE,
    Description,
    is_index,
    read_description,
    write_description,
)
from fusemix.search.vectors import FLAT_BELOW
from fusemix.search.writer import SAMPLE, IndexWriter
from fusemix.wiring.searching.done_so_far import DoneSoFar, forget_all, states_behind, states_of
from fusemix.wiring.searching.index_plan import PARTS, Indexing, Task
from fusemix.wiring.searching.spaces import index_queries, index_vectors, weights_of

PART_ROWS, PART_SEC = 2048, 30.0
"""A part is kept when so many items are embedded, or so many seconds have gone by."""
LATENTS_AT_ONCE = 65_536


def run_indexing(indexing: Indexing, advance: Callable[[int], None]) -> tuple[Description, list[Rejected]]:
    """Embed what is new and add it; returns what index.json says now, and what could not be embedded.

    Args:
        indexing: what to do.
        advance: called with the number of items just embedded.

    Raises:
        EncoderError: nothing could be embedded, and nothing was there before.
    """
    out = indexing.out
    out.mkdir(parents=True, exist_ok=True)
    if not is_index(out):
        write_description(out, replace(indexing.description, sources=[]))  # says whose folder this is from now on
    writer, rejected, num_added, done = IndexWriter(out, indexing.description), indexing.excluded, 0, []
    for task in indexing.tasks:
        sample = _captions_asked(indexing, task)
        if task.collection.side is not None:
            found = _from_latents(indexing, task, advance)
        else:
            done.append(_done_so_far(indexing, task))
            found = _from_files(indexing, task, done[-1], advance)
        for places, embedded in found:
            good = ~np.isnan(embedded.embeddings).any(axis=1)
            prefix = task.collection.origin["prefix"]
            rejected += [item._replace(id=prefix + item.id) for item in embedded.rejected]
            modality, trained = task.collection.items.modality, indexing.embedder.trained
            vectors = index_vectors(embedded.embeddings[good], modality, indexing.description, trained)
            writer.add(vectors, task.collection.table(task.number, places[good]), sample)
            num_added += int(good.sum())
    if num_added or indexing.replaces is None:
        description = writer.finish()
        _note_rejected(indexing, rejected)
        _forget_parts(indexing, done)
        if description.num_items:
            return description, rejected
    else:
        _forget_parts(indexing, done)
    first = f": {rejected[0].id}: {rejected[0].reason}" if rejected else ""
    stays = f". {out} stays as it was" if indexing.replaces else ""
    raise EncoderError(f"none of {indexing.num_new:,} items could be embedded{first}{stays}")


def settle(indexing: Indexing) -> list[Rejected]:
    """What is left to do where nothing is new; returns what origins name and cannot give."""
    if read_description(indexing.out) != indexing.description:  # encoders were named, or a folder has moved
        write_description(indexing.out, indexing.description)
    _note_rejected(indexing, indexing.excluded)
    _forget_parts(indexing, [_done_so_far(indexing, task) for task in indexing.tasks if task.collection.side is None])
    return indexing.excluded


def _note_rejected(indexing: Indexing, rejected: Sequence[Rejected]) -> None:
    """Bring the list of what could not be embedded up to date."""
    path = indexing.out / QUARANTINE
    collections = [task.collection for task in indexing.tasks]
    before = [] if indexing.replaces or not path.is_file() else [Rejected(**row) for row in read_jsonl(path)]
    tried = {item for collection in collections for item in collection.ids} if before else set()
    looked_into = tuple(collection.origin["prefix"] for collection in collections)
    kept = [
        item
        for item in before
        if item.id not in tried and not (item.stage == "dataset" and item.id.startswith(looked_into))
    ]
    if before or rejected or not path.exists():
        write_jsonl(path, (item._asdict() for item in dict.fromkeys([*kept, *rejected])))


def _captions_asked(indexing: Indexing, task: Task) -> Float32[np.ndarray, "queries dim"] | None:
    """Embeddings of captions, where an index becomes large enough to be tuned by what people will ask."""
    large = indexing.description.num_items + indexing.num_new >= FLAT_BELOW
    if not large or not indexing.embedder.is_known("text") or task.collection.items.modality == "text":
        return None
    spread = task.new[np.linspace(0, len(task.new) - 1, min(len(task.new), SAMPLE)).astype(np.int64)]
    captions = task.collection.captions.take(pa.array(spread)).to_pylist()
    words = list(chain.from_iterable(some[:1] for some in captions))
    if not words:
        return None
    found = index_queries(indexing.embedder.embed("text", words), indexing.description)
    return np.concatenate([found, weights_of(["text"] * len(words), indexing.description)], axis=1)


Part = tuple[Int64[np.ndarray, " some"], Embedded]
"""Places of items in their collection, and their embeddings."""


def _from_latents(indexing: Indexing, task: Task, advance: Callable[[int], None]) -> Iterator[Part]:
    side = task.collection.side
    assert side is not None
    for at in range(0, len(task.new), LATENTS_AT_ONCE):
        places = task.new[at : at + LATENTS_AT_ONCE]
        latents = side.take(task.collection.rows[places])
        yield places, Embedded(indexing.embedder.adapted(side.modality, latents), ())
        advance(len(places))
        side.release()


def _done_so_far(indexing: Indexing, task: Task) -> DoneSoFar:
    """What a killed command has embedded of the new items of a folder."""
    origin, ids = task.collection.origin, task.collection.items.table["id"].take(pa.array(task.new))
    about = {"model": indexing.description.model["sha256"], "source": origin, "replaces": indexing.replaces}
    if isinstance(folder := located(origin["path"]), Remote):
        states = states_behind(folder, ids.to_pylist(), len(ids))
    else:
        states = states_of((f"{folder}/{item}" for item in ids.to_pylist()), len(ids))
    return DoneSoFar(indexing.out / PARTS, about, ids, states)


def _from_files(indexing: Indexing, task: Task, done: DoneSoFar, advance: Callable[[int], None]) -> Iterator[Part]:
    """First what is missing is embedded and kept, then all is handed on in order."""
    config, is_done = indexing.config, np.ones(len(task.new), dtype=bool)
    is_done[done.missing] = False
    spans = [range(at, min(at + PART_ROWS, len(task.new))) for at in range(0, len(task.new), PART_ROWS)]
    wanted = [rows for span in spans if len(rows := _to_read(span, is_done, config.batch_size))]
    rows = np.concatenate([np.zeros(0, np.int64), *wanted])
    ends = np.cumsum([0, *map(len, wanted)]).tolist()
    advance(len(task.new) - len(rows))
    fresh = indexing.embedder.embed_items(
        task.collection.items.take(task.new[rows]),
        [range(*ends_of_one) for ends_of_one in pairwise(ends)],
        batch_size=config.batch_size,
        num_workers=usable_cores() - 1 if isinstance(config.num_workers, str) else config.num_workers,
        advance=lambda count, rejected: advance(count),
        is_done=is_done[rows],
        part_sec=PART_SEC,
    )
    for some, embedded in fresh if wanted else ():
        done.keep(rows[some], embedded)
    for span in spans:
        rows = np.arange(span.start, span.stop)
        yield task.new[rows], done.take(rows)


def _to_read(span: range, is_done: Bool[np.ndarray, " new"], batch_size: int) -> Int64[np.ndarray, " some"]:
    """Rows of a part that are still to be embedded.

    Where an earlier command was ended between two batches of it, all of its rows, so that the others are cut as they
    would have been.
    """
    rows = np.arange(span.start, span.stop)
    left = rows[~is_done[span.start : span.stop]]
    goes_on = len(left) and (len(rows) - len(left)) % batch_size == 0 and left[0] == span.stop - len(left)
    return rows if goes_on else left


def _forget_parts(indexing: Indexing, done: Sequence[DoneSoFar]) -> None:
    """Delete what was kept for a killed command to go on from; of an index that made room, everything."""
    for one in done:
        one.forget()
    if indexing.replaces:
        forget_all(indexing.out / PARTS)
