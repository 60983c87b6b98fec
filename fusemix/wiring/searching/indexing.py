"""Indexing, wired: what is new in a folder or latent set -> embeddings -> items of an index.

Place in the flow: Indexing (index_plan.py) -> index folder.

Embeddings of a folder are added part by part while they are made, so that a command that was killed goes on where it
stopped. With `overwrite`, the index that is there stays until the new one is whole.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from fusemix.disk.discarding import discard, take_place
from fusemix.disk.files import read_jsonl, write_jsonl
from fusemix.errors import EncoderError
from fusemix.interfaces import Rejected
from fusemix.machine.limits import usable_cores
from fusemix.models.embedder import Embedded
from fusemix.search.description import QUARANTINE, Description, read_description, write_description
from fusemix.search.table import STATE, THUMBNAIL, open_table
from fusemix.search.writer import IndexWriter
from fusemix.wiring.searching.following import SEEN, sha256_of
from fusemix.wiring.searching.index_plan import OWNED, Indexing, Task
from fusemix.wiring.searching.spaces import bank_queries, index_vectors

PART_ROWS, PART_SEC = 2048, 30.0
"""A part is added when so many items are embedded, or so many seconds have gone by."""
LATENTS_AT_ONCE = 65_536


def run_indexing(indexing: Indexing, advance: Callable[[int], None]) -> tuple[Description, list[Rejected]]:
    """Embed what is new and add it; returns what index.json says now, and what could not be embedded.

    Args:
        indexing: what to do.
        advance: called with the number of items just embedded.

    Raises:
        EncoderError: nothing could be embedded, and nothing was there before.
    """
    place, out = indexing.place, indexing.out
    writer, rejected, num_added = IndexWriter(place, indexing.description), indexing.excluded, 0
    for task in indexing.tasks:
        writer.remove(task.changes.vanished)
        writer.touch(_states(task, task.changes.touched))
        for places, embedded in (_from_files if task.collection.is_of_files else _from_latents)(
            indexing, task, advance
        ):
            good = ~np.isnan(embedded.embeddings).any(axis=1)
            prefix = task.collection.origin["prefix"]
            rejected += [item._replace(id=prefix + item.id) for item in embedded.rejected]
            modality, trained = task.collection.items.modality, indexing.embedder.trained
            vectors = index_vectors(embedded.embeddings[good], modality, indexing.description, trained)
            writer.remove(_ids(task, np.intersect1d(places, task.changes.changed)))
            thumbnails = (
                [embedded.thumbnails[row] for row in np.flatnonzero(good).tolist()] if embedded.thumbnails else []
            )
            writer.add(vectors, _rows(task, places[good], thumbnails))
            num_added += int(good.sum())
    _note_rejected(indexing, rejected)
    if not num_added and open_table(place) is None:
        raise _none(indexing, rejected)
    description = writer.finish(lambda: bank_queries(indexing.embedder.trained, indexing.description))
    if place != out:
        take_place(place, out, OWNED)
    return description, rejected


def _rows(task: Task, places: Int64[np.ndarray, " some"], thumbnails: Sequence[bytes | None]) -> pa.Table:
    """What an index keeps of some items, besides their vectors; `thumbnails` are empty where none were made."""
    rows = task.collection.table(task.number, places)
    if not task.collection.is_of_files:
        return rows
    states = _states(task, places).drop_columns(["id"])
    for name in states.column_names:
        rows = rows.append_column(name, states[name])
    return rows.append_column(THUMBNAIL, pa.array(thumbnails, pa.binary())) if thumbnails else rows


def _states(task: Task, places: Int64[np.ndarray, " some"]) -> pa.Table:
    hashes = [sha256_of(task.collection, int(place)) for place in places]
    columns = [pa.array(task.states[places, number]) for number in range(len(SEEN))]
    return pa.table([pa.array(_ids(task, places)), *columns, pa.array(hashes, pa.string())], ["id", *STATE.names])


def _ids(task: Task, places: Int64[np.ndarray, " some"]) -> list[str]:
    ids = task.collection.items.table["id"].take(pa.array(places)).to_pylist()
    return [task.collection.origin["prefix"] + item for item in ids]


def _none(indexing: Indexing, rejected: Sequence[Rejected]) -> EncoderError:
    first = f": {rejected[0].id}: {rejected[0].reason}" if rejected else ""
    stays = ""
    if indexing.place != indexing.out:
        discard(indexing.place, OWNED)
        stays = f". {indexing.out} stays as it was"
    return EncoderError(f"none of {indexing.num_new:,} items could be embedded{first}{stays}")


def settle(indexing: Indexing) -> list[Rejected]:
    """What is left to do where nothing is new; returns what origins name and cannot give."""
    if read_description(indexing.out) != indexing.description:  # encoders were named, or a folder has moved
        write_description(indexing.out, indexing.description)
    _note_rejected(indexing, indexing.excluded)
    return indexing.excluded


def _note_rejected(indexing: Indexing, rejected: Sequence[Rejected]) -> None:
    """Bring the list of what could not be embedded up to date."""
    path = indexing.place / QUARANTINE
    collections = [task.collection for task in indexing.tasks]
    before = [] if not path.is_file() else [Rejected(**row) for row in read_jsonl(path)]
    tried = {item for collection in collections for item in collection.ids} if before else set()
    looked_into = tuple(collection.origin["prefix"] for collection in collections)
    kept = [
        item
        for item in before
        if item.id not in tried and not (item.stage == "dataset" and item.id.startswith(looked_into))
    ]
    if before or rejected or not path.exists():
        write_jsonl(path, (item._asdict() for item in dict.fromkeys([*kept, *rejected])))


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


def _from_files(indexing: Indexing, task: Task, advance: Callable[[int], None]) -> Iterator[Part]:
    config = indexing.config
    spans = [range(at, min(at + PART_ROWS, len(task.new))) for at in range(0, len(task.new), PART_ROWS)]
    for some, embedded in indexing.embedder.embed_items(
        task.collection.items.take(task.new),
        spans,
        batch_size=config.batch_size,
        num_workers=usable_cores() - 1 if isinstance(config.num_workers, str) else config.num_workers,
        advance=lambda count, rejected: advance(count),
        part_sec=PART_SEC,
        thumbnails=config.thumbnails,
    ):
        yield task.new[some], embedded
