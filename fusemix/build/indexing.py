"""Indexing, wired: what is new in a folder or latent set -> embeddings -> segments of an index.

Place in the flow: IndexConfig -> Indexing -> index folder.

Embeddings of a folder are kept part by part while they are made (done_so_far.py), so that a command that was killed
goes on where it stopped. With `overwrite`, the index that is there stays until the new one is whole.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64

from fusemix.build.collections import Collection, collections_of
from fusemix.build.done_so_far import DoneSoFar, forget_all, states_of
from fusemix.build.embedding import Embedded, Embedder
from fusemix.build.imported import require_same_latents
from fusemix.build.index_model import ENCODERS_NOTED, about_model, as_setting, noted_encoders, require_same_model
from fusemix.build.index_places import is_same, noted
from fusemix.config import IndexConfig, to_plain
from fusemix.discarding import Owned, require_ours
from fusemix.errors import ConfigError, EncoderError, IndexFolderError
from fusemix.files import read_jsonl, sha256_of_file, write_jsonl
from fusemix.interfaces import Rejected
from fusemix.latents.description import SET
from fusemix.proven_names import ANY_NAME
from fusemix.search.description import (
    INDEX,
    QUARANTINE,
    SEGMENTS,
    SUFFIXES,
    Description,
    is_index,
    read_description,
    write_description,
)
from fusemix.search.folder import Index
from fusemix.search.vectors import FLAT_BELOW
from fusemix.search.writer import SAMPLE, IndexWriter
from fusemix.system_names import is_system_name

PARTS = "parts"
PART_ROWS, PART_SEC = 2048, 30.0
"""A part is kept when so many items are embedded, or so many seconds have gone by."""
OWNED = Owned(
    "an index",
    is_index,
    (
        *(INDEX, QUARANTINE, f"{PARTS}/*/{ANY_NAME}.parquet"),
        *(f"{SEGMENTS}/{name}{suffix}" for name in (ANY_NAME, "[0-9]*") for suffix in SUFFIXES),
        *(f"{PARTS}/*{suffix}" for suffix in (".npy", ".jsonl")),  # of an earlier version
    ),
)
LATENTS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Task:
    """A collection, and which of its items are new.

    Attributes:
        collection: what is indexed.
        number: of its source in index.json.
        new: places of the new items in it.
    """

    collection: Collection
    number: int
    new: Int64[np.ndarray, " new"]


@dataclass(frozen=True)
class Indexing:
    """What is going to be done.

    Attributes:
        config: the settings.
        embedder: the model.
        description: of the index as it is, or of a new one, with the sources that come to it.
        tasks: what to add.
        num_there: items that were asked for and are in the index already.
        replaces: hash of the index.json whose index is going to make room; None where none does.
    """

    config: IndexConfig
    embedder: Embedder
    description: Description
    tasks: list[Task]
    num_there: int
    replaces: str | None

    @property
    def out(self) -> Path:
        """The index folder."""
        return Path(self.config.out)

    @property
    def num_new(self) -> int:
        """Items to add."""
        return sum(len(task.new) for task in self.tasks)

    @property
    def excluded(self) -> list[Rejected]:
        """What sources name and cannot give."""
        return [item for task in self.tasks for item in task.collection.excluded]


def indexing_of(config: IndexConfig) -> Indexing:
    """Open the model, the index as far as there is one, and the data, and find out what is new. Nothing is written.

    Raises:
        RunError: there is no such model, or the index was made with another one.
        DatasetError, ConfigError: the data are not there or cannot be indexed.
        IndexFolderError: what is in `out` is no index, or a damaged one.
    """
    out = Path(config.out)
    _require_room(out, config.overwrite)
    description = None if config.overwrite else read_description(out)
    known_encoders = noted_encoders(description.model, out) if description else {}
    given = {modality: [to_plain(part) for part in parts] for modality, parts in config.encoders.items()}
    embedder = Embedder(
        config.model,
        config.checkpoint,
        given,
        config.device,
        trust_code=config.trust_code,
        noted=known_encoders,
        how=as_setting,
    )
    model = about_model(embedder, config.model, config.checkpoint, out, {**known_encoders, **given})
    if description is None or not description.segments:
        description = Description(model, embedder.dim)
    require_same_model(description.model, model, out)
    description = replace(description, model={**description.model, ENCODERS_NOTED: model[ENCODERS_NOTED]})
    collections = collections_of(config.data, config.modality, embedder.trained, follow_links=config.follow_links)
    for modality in given:
        require_same_latents(embedder, modality, _sets_at_hand(collections, embedder))
    there = Index(out) if description.segments else None
    tasks, sources = [], list(description.sources)
    for collection in collections:
        _require_same_source(collection.source, sources)
        number = next((n for n, known in enumerate(sources) if is_same(known, collection.source)), len(sources))
        sources[number : number + 1] = [noted(collection.source, collection.root, out)]
        tasks.append(Task(collection, number, _new_places(collection, there)))
    num_items = sum(len(collection.items) for collection in collections)
    num_new = sum(len(task.new) for task in tasks)
    replaces = sha256_of_file(out / INDEX) if config.overwrite and is_index(out) else None
    return Indexing(config, embedder, replace(description, sources=sources), tasks, num_items - num_new, replaces)


def _sets_at_hand(collections: Sequence[Collection], embedder: Embedder) -> list[Path]:
    """Latent sets that may hold latents of the model's encoders: what is indexed, and what was trained on."""
    of_run = [str(embedder.trained.record["config"].get(name) or "") for name in ("validation", "train")]
    indexed = [one.source["path"] for one in collections if one.side is not None]
    return [Path(folder) for folder in [*indexed, *of_run] if (Path(folder) / SET).is_file()]


def _require_room(out: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something else than an index, whatever its files are called."""
    if overwrite and is_index(out):
        require_ours(out, OWNED)
    if out.exists() and not is_index(out):
        read_description(out)  # says of a damaged one what is wrong with it
        if not all(is_system_name(path.name) for path in out.iterdir()):
            raise IndexFolderError(f"{out} holds something else than an index. Choose another out.")


def _require_same_source(source: dict[str, Any], there: Sequence[dict[str, Any]]) -> None:
    identity = "path" if source["kind"] == "folder" else "sha256"
    for other in there:
        if is_same(other, source):
            continue
        if other["prefix"] == source["prefix"] and other.get(identity) != source[identity]:
            raise ConfigError(
                f"the index holds items of {other['path']}, whose ids begin with {other['prefix']!r}, too. Rename one "
                "of the two, or make an index of its own."
            )


def _new_places(collection: Collection, there: Index | None) -> Int64[np.ndarray, " new"]:
    ids = pa.array(collection.ids, pa.string())
    known = np.zeros(len(ids), dtype=bool)
    for column in there.columns("id") if there else ():
        known |= pc.call_function("is_in", [ids], pc.SetLookupOptions(column)).to_numpy(zero_copy_only=False)
    return np.flatnonzero(~known)


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
            prefix = task.collection.source["prefix"]
            rejected += [item._replace(id=prefix + item.id) for item in embedded.rejected]
            writer.add(embedded.embeddings[good], task.collection.table(task.number, places[good]), sample)
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
    """What is left to do where nothing is new; returns what sources name and cannot give."""
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
    looked_into = tuple(collection.source["prefix"] for collection in collections)
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
    return indexing.embedder.embed("text", words) if words else None


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
    source, ids = task.collection.source, task.collection.items.table["id"].take(pa.array(task.new))
    about = {"model": indexing.description.model["sha256"], "source": source, "replaces": indexing.replaces}
    paths = (f"{source['path']}/{item}" for item in ids.to_pylist())
    return DoneSoFar(indexing.out / PARTS, about, ids, states_of(paths, len(ids)))


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
        num_workers=max(0, (os.cpu_count() or 1) - 1) if config.num_workers is None else config.num_workers,
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
