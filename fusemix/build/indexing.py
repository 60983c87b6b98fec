"""Indexing, wired: what is new in a folder or latent set -> embeddings -> segments of an index.

Place in the flow: IndexConfig -> Indexing -> index folder.

Embeddings of a folder are kept part by part while they are made (`parts/`, removed at the end), so that a command that
was killed goes on where it stopped.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from fusemix.build.collections import Collection, collections_of
from fusemix.build.embedding import Embedded, Embedder
from fusemix.build.index_model import about_model, require_same_model
from fusemix.config import IndexConfig
from fusemix.errors import ConfigError, EncoderError, IndexFolderError
from fusemix.files import clear_discarded, discard_folder, read_jsonl, sha256_of_json, write_jsonl, write_npy
from fusemix.interfaces import Rejected
from fusemix.out_folder import is_empty
from fusemix.search.folder import INDEX, QUARANTINE, Description, Index, read_description
from fusemix.search.vectors import FLAT_BELOW
from fusemix.search.writer import SAMPLE, IndexWriter

PARTS = "parts"
PART_ROWS = 2048
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
        description: of the index as it is, with the sources that come to it.
        tasks: what to add.
        num_there: items that were asked for and are in the index already.
    """

    config: IndexConfig
    embedder: Embedder
    description: Description
    tasks: list[Task]
    num_there: int

    @property
    def num_new(self) -> int:
        """Items to add."""
        return sum(len(task.new) for task in self.tasks)


def indexing_of(config: IndexConfig) -> Indexing:
    """Open the model, the index as far as there is one, and the data, and find out what is new.

    Raises:
        RunError: there is no such model, or the index was made with another one.
        DatasetError, ConfigError: the data are not there or cannot be indexed.
        IndexFolderError: what is in `out` is no index, or a damaged one.
    """
    out = Path(config.out)
    _make_room(out, config.overwrite)
    embedder = Embedder(config.model, config.checkpoint, device=config.device, trust_code=config.trust_code)
    model = about_model(embedder, config.model, config.checkpoint, out)
    description = read_description(out)
    if description is None:
        description = Description(model, embedder.dim)
    require_same_model(description.model, model, out)
    collections = collections_of(config.data, config.modality, embedder.trained)
    there = Index(out) if description.segments else None
    tasks, sources = [], list(description.sources)
    for collection in collections:
        _require_same_source(collection.source, sources)
        if collection.source not in sources:
            sources.append(collection.source)
        tasks.append(Task(collection, sources.index(collection.source), _new_places(collection, there)))
    num_items = sum(len(collection.items) for collection in collections)
    num_new = sum(len(task.new) for task in tasks)
    return Indexing(config, embedder, replace(description, sources=sources), tasks, num_items - num_new)


def _make_room(out: Path, overwrite: bool) -> None:
    clear_discarded(out.parent)
    if not out.exists():
        return
    if not (out / INDEX).is_file() and not (out / PARTS).is_dir() and not is_empty(out):
        raise IndexFolderError(f"{out} holds something else than an index. Choose another out.")
    if overwrite:
        discard_folder(out)


def _require_same_source(source: dict[str, Any], there: Sequence[dict[str, Any]]) -> None:
    identity = "path" if source["kind"] == "folder" else "sha256"
    for other in there:
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
    """
    out = Path(indexing.config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / PARTS).mkdir(exist_ok=True)  # says whose folder this is, should this process be killed before index.json
    writer = IndexWriter(out, indexing.description)
    rejected = [item for task in indexing.tasks for item in task.collection.excluded]
    for task in indexing.tasks:
        sample = _captions_asked(indexing, task)
        embed = _from_latents if task.collection.side is not None else _from_files
        for places, embedded in embed(indexing, task, advance):
            good = ~np.isnan(embedded.embeddings).any(axis=1)
            prefix = task.collection.source["prefix"]
            rejected += [item._replace(id=prefix + item.id) for item in embedded.rejected]
            writer.add(embedded.embeddings[good], task.collection.table(task.number, places[good]), sample)
    description = writer.finish()
    if not description.num_items:
        first = f": {rejected[0].id}: {rejected[0].reason}" if rejected else ""
        raise EncoderError(f"none of {indexing.num_new:,} items could be embedded{first}")
    _note_rejected(out, rejected, {item for task in indexing.tasks for item in task.collection.ids})
    shutil.rmtree(out / PARTS)
    return description, rejected


def _note_rejected(out: Path, rejected: Sequence[Rejected], tried: set[str]) -> None:
    path = out / QUARANTINE
    before = [Rejected(**row) for row in read_jsonl(path)] if path.is_file() else []
    kept = [item for item in before if item.id not in tried]
    write_jsonl(path, (item._asdict() for item in dict.fromkeys([*kept, *rejected])))


def _captions_asked(indexing: Indexing, task: Task) -> Float32[np.ndarray, "queries dim"] | None:
    """Embeddings of captions, where an index becomes large enough to be tuned by what people will ask."""
    large = indexing.description.num_items + indexing.num_new >= FLAT_BELOW
    if not large or "text" not in indexing.embedder.modalities or task.collection.items.modality == "text":
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


def _from_files(indexing: Indexing, task: Task, advance: Callable[[int], None]) -> Iterator[Part]:
    """Part by part; what a killed command has embedded already is read back."""
    folder = Path(indexing.config.out) / PARTS
    new = task.collection.items.take(task.new)
    parts = [range(at, min(at + PART_ROWS, len(new))) for at in range(0, len(new), PART_ROWS)]
    ids = new.table["id"]
    names = [
        sha256_of_json([indexing.description.model["sha256"], ids.slice(part.start, len(part)).to_pylist()])[:16]
        for part in parts
    ]
    missing = [part for part, name in zip(parts, names, strict=True) if not (folder / f"{name}.npy").is_file()]
    config = indexing.config
    fresh = indexing.embedder.embed_items(
        new,
        missing,
        batch_size=config.batch_size,
        num_workers=max(0, (os.cpu_count() or 1) - 1) if config.num_workers is None else config.num_workers,
        advance=lambda count, rejected: advance(count),
    )
    for part, name in zip(parts, names, strict=True):
        if part in missing:
            embedded = next(fresh)
            _keep(folder, name, embedded)
        else:
            embedded = _kept(folder, name)
            advance(len(part))
        yield task.new[part.start : part.stop], embedded


def _keep(folder: Path, name: str, embedded: Embedded) -> None:
    write_jsonl(folder / f"{name}.jsonl", (item._asdict() for item in embedded.rejected))
    write_npy(folder / f"{name}.npy", embedded.embeddings)


def _kept(folder: Path, name: str) -> Embedded:
    rejected = tuple(Rejected(**row) for row in read_jsonl(folder / f"{name}.jsonl"))
    return Embedded(np.load(folder / f"{name}.npy", allow_pickle=False), rejected)
