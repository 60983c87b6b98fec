"""What an index is going to get: the model, the index as far as there is one, the data, and what of them is new.

Place in the flow: IndexConfig -> Indexing -> indexing.py, which embeds and writes. Nothing is written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from fusemix.config import IndexConfig, to_plain
from fusemix.disk.discarding import Owned, require_ours
from fusemix.disk.files import sha256_of_file
from fusemix.disk.proven_names import ANY_NAME
from fusemix.disk.system_names import is_system_name
from fusemix.errors import ConfigError, IndexFolderError
from fusemix.interfaces import Rejected
from fusemix.latents.description import SET
from fusemix.machine.environment import one_device
from fusemix.models.embedder import Embedder
from fusemix.models.places import is_same, noted
from fusemix.models.recipes import EncoderRecipe
from fusemix.search.description import (
    INDEX,
    QUARANTINE,
    SEGMENTS,
    SUFFIXES,
    Description,
    is_index,
    read_description,
)
from fusemix.search.folder import Index
from fusemix.wiring.searching.collections import Collection, collections_of, require_kind
from fusemix.wiring.searching.imported import require_same_latents
from fusemix.wiring.searching.index_model import (
    ENCODERS_NOTED,
    about_model,
    as_setting,
    noted_encoders,
    require_same_model,
)
from fusemix.wiring.searching.spaces import require_hubs, require_same_shape, shaped

PARTS = "parts"
OWNED = Owned(
    "an index",
    is_index,
    (
        *(INDEX, QUARANTINE, f"{PARTS}/*/{ANY_NAME}.parquet"),
        *(f"{SEGMENTS}/{name}{suffix}" for name in (ANY_NAME, "[0-9]*") for suffix in SUFFIXES),
        *(f"{PARTS}/*{suffix}" for suffix in (".npy", ".jsonl")),  # of an earlier version
    ),
)


@dataclass(frozen=True)
class Task:
    """A collection, and which of its items are new.

    Attributes:
        collection: what is indexed.
        number: of its origin in index.json.
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
        description: of the index as it is, or of a new one, with the origins that come to it.
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
        """What origins name and cannot give."""
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
    require_kind(config.data, config.latents)
    embedder = _embedder_of(config, known_encoders)
    model = about_model(embedder, config.model, config.checkpoint, out, known_encoders)
    if description is None or not description.segments:
        description = shaped(Description(model, embedder.dim), config, embedder.trained)
    require_same_model(description.model, model, out)
    require_same_shape(description, config, out)
    require_hubs(description, embedder.trained, out)
    description = replace(description, model={**description.model, ENCODERS_NOTED: model[ENCODERS_NOTED]})
    what = (config.data, config.latents, config.modality)
    collections = collections_of(*what, embedder.trained, follow_links=config.follow_links)
    for modality, recipes in embedder.trained.recipes.items():
        if any(one.is_given for one in recipes):
            require_same_latents(embedder, modality, _sets_at_hand(collections, embedder))
    there = Index(out) if description.segments else None
    tasks, origins = [], list(description.sources)
    for collection in collections:
        _require_same_origin(collection.origin, origins)
        number = next((n for n, known in enumerate(origins) if is_same(known, collection.origin)), len(origins))
        origins[number : number + 1] = [noted(collection.origin, collection.root, out)]
        tasks.append(Task(collection, number, _new_places(collection, there)))
    num_items = sum(len(collection.items) for collection in collections)
    num_new = sum(len(task.new) for task in tasks)
    replaces = sha256_of_file(out / INDEX) if config.overwrite and is_index(out) else None
    return Indexing(config, embedder, replace(description, sources=origins), tasks, num_items - num_new, replaces)


def _embedder_of(config: IndexConfig, known: Mapping[str, Sequence[EncoderRecipe]]) -> Embedder:
    return Embedder(
        config.model,
        config.checkpoint,
        {name: to_plain(part) for name, part in config.encoders.items()},
        one_device(config.compute.accelerator, config.compute.devices),
        trust_code=config.trust_code,
        noted=known,
        how=as_setting,
    )


def _sets_at_hand(collections: Sequence[Collection], embedder: Embedder) -> list[Path]:
    """Latent sets that may hold latents of the model's encoders: what is indexed, and what was trained on."""
    of_run = [str(embedder.trained.record["config"].get(name) or "") for name in ("validation", "train")]
    indexed = [one.origin["path"] for one in collections if one.side is not None]
    return [Path(folder) for folder in [*indexed, *of_run] if (Path(folder) / SET).is_file()]


def _require_room(out: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something else than an index, whatever its files are called."""
    if overwrite and is_index(out):
        require_ours(out, OWNED)
    if out.exists() and not is_index(out):
        read_description(out)  # says of a damaged one what is wrong with it
        if not all(is_system_name(path.name) for path in out.iterdir()):
            raise IndexFolderError(f"{out} holds something else than an index. Choose another out.")


def _require_same_origin(origin: dict[str, Any], there: Sequence[dict[str, Any]]) -> None:
    identity = "path" if origin["kind"] == "folder" else "sha256"
    for other in there:
        if is_same(other, origin):
            continue
        if other["prefix"] == origin["prefix"] and other.get(identity) != origin[identity]:
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
