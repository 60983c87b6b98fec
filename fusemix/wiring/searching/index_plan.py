"""What an index is going to get: the model, the index as far as there is one, the data, and what of them is new.

Place in the flow: IndexConfig -> Indexing -> indexing.py, which embeds and writes. Nothing is written here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from fusemix.config import IndexConfig, to_plain
from fusemix.disk.discarding import Owned, beside, discard, require_ours
from fusemix.disk.proven_names import ANY_NAME
from fusemix.disk.system_names import is_system_name
from fusemix.errors import ConfigError, IndexFolderError
from fusemix.interfaces import Rejected
from fusemix.latents.description import SET
from fusemix.machine.environment import one_device
from fusemix.models.embedder import Embedder
from fusemix.models.places import is_same, noted, roots
from fusemix.models.recipes import EncoderRecipe
from fusemix.models.trained import Trained
from fusemix.search.description import (
    INDEX,
    QUARANTINE,
    TABLE,
    Description,
    content_of,
    is_index,
    read_description,
)
from fusemix.search.earlier import SEGMENTS
from fusemix.search.folder import Index
from fusemix.search.seals import SEALS
from fusemix.search.table import open_table
from fusemix.wiring.searching.collections import Collection, collections_of, require_kind
from fusemix.wiring.searching.following import NONE, Changes, changes_of, new_places, states_of
from fusemix.wiring.searching.imported import require_same_latents
from fusemix.wiring.searching.index_model import (
    ENCODERS_NOTED,
    about_model,
    as_setting,
    noted_encoders,
    place_of_model,
    require_same_model,
)
from fusemix.wiring.searching.known import fitting
from fusemix.wiring.searching.spaces import require_hubs, require_same_shape, shaped

OWNED = Owned(
    "an index",
    is_index,
    (
        *(INDEX, QUARANTINE, SEALS),
        *(f"{TABLE}/{below}/*" for below in ("data", "_versions", "_transactions", "_deletions", "_indices/*")),
        *(f"{SEGMENTS}/{name}{suffix}" for name in (ANY_NAME, "[0-9]*") for suffix in (".faiss", ".npy", ".parquet")),
        *(f"parts/*{suffix}" for suffix in (".npy", ".jsonl")),  # of earlier versions, as segments are
        f"parts/*/{ANY_NAME}.parquet",
    ),
)


@dataclass(frozen=True)
class Task:
    """A collection, and which of its items are new.

    Attributes:
        collection: what is indexed.
        number: of its origin in index.json.
        changes: what is new in it, and of an index that follows its folder what else has changed.
        states: of its files, see `following.states_of`, before any of them is read.
    """

    collection: Collection
    number: int
    changes: Changes
    states: Int64[np.ndarray, "items 2"]

    @property
    def new(self) -> Int64[np.ndarray, " new"]:
        """Places of the items to embed."""
        return np.union1d(self.changes.new, self.changes.changed)


@dataclass(frozen=True)
class Indexing:
    """What is going to be done.

    Attributes:
        config: the settings.
        embedder: the model.
        place: folder that is written in: that of the index, or one beside it that is going to take its place.
        description: of the index as it is, or of a new one, with the origins that come to it.
        tasks: what to add.
        num_there: items that were asked for and are in the index already.
    """

    config: IndexConfig
    embedder: Embedder
    place: Path
    description: Description
    tasks: list[Task]
    num_there: int

    @property
    def out(self) -> Path:
        """The index folder."""
        return Path(self.config.out)

    @property
    def num_new(self) -> int:
        """Items to add."""
        return sum(len(task.new) for task in self.tasks)

    @property
    def has_news(self) -> bool:
        """Whether there is anything to write about items."""
        return any(len(task.new) or task.changes.vanished or len(task.changes.touched) for task in self.tasks)

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
    place = beside(out) if config.overwrite and is_index(out) else out
    there = None if place != out else read_description(out)
    known_encoders = noted_encoders(there.model, out) if there else {}
    if config.data or config.latents:
        require_kind(config.data, config.latents)
    name = _model_of(config, there, out)
    embedder = _embedder_of(config, name, known_encoders)
    model = about_model(embedder, name, config.checkpoint, out, known_encoders)
    if there is None or open_table(out) is None:
        there = shaped(Description(model, embedder.dim), config, embedder.trained)
    require_same_model(there.model, model, out)
    require_same_shape(there, config, out)
    require_hubs(there, embedder.trained, out)
    there = replace(there, model={**there.model, ENCODERS_NOTED: model[ENCODERS_NOTED]})
    collections = list(_collections_of(config, there, embedder.trained))
    for modality, recipes in embedder.trained.recipes.items():
        if any(one.is_given for one in recipes):
            require_same_latents(embedder, modality, _sets_at_hand(collections, embedder))
    origins, numbers = _with_origins(there.sources, collections, out)
    description = replace(there, sources=origins)
    if place != out:
        _forget_another(place, description)
    table = open_table(place)
    index = Index(place) if table is not None else None
    there_already = None if table is None else table.schema
    collections = [one._replace(own=fitting(one.own, there_already)) for one in collections]
    tasks = [_task(config, *both, index) for both in zip(collections, numbers, strict=True)]
    num_items = sum(len(collection.items) for collection in collections)
    num_new = sum(len(task.new) for task in tasks)
    return Indexing(config, embedder, place, description, tasks, num_items - num_new)


def _model_of(config: IndexConfig, there: Description | None, out: Path) -> str:
    if config.model is not None:
        return config.model
    if there is None:
        raise ConfigError(f"{out} is no index yet, so model=RUN is needed: the model that is to embed its items.")
    return place_of_model(there.model, out)


def _collections_of(config: IndexConfig, there: Description, trained: Trained) -> Iterator[Collection]:
    """What is given, or, to be followed, all folders that the index has."""
    if config.data or config.latents:
        how = {"follow_links": config.follow_links, "prefix": config.prefix}
        yield from collections_of(config.data, config.latents, config.modality, trained, **how)
        return
    folders = [source for source in there.sources if source["kind"] == "folder"]
    if not folders:
        raise ConfigError(f"{config.out} has no folder that it could follow.")
    for source in folders:
        root = next((root for root in roots(source, Path(config.out)) if root.is_dir()), source["path"])
        require_kind(str(root), None)
        how = {"follow_links": source.get("follow_links") is True, "prefix": source["prefix"]}
        yield from collections_of(str(root), None, source["modality"], trained, **how)


def _task(config: IndexConfig, collection: Collection, number: int, there: Index | None) -> Task:
    if config.sync and there is not None:
        changes = changes_of(collection, number, there)
    else:
        new, num_removed = new_places(collection, there)
        changes = Changes(new, NONE, NONE, [], 0, num_removed)
    return Task(collection, number, changes, states_of(collection))


def _forget_another(place: Path, description: Description) -> None:
    """Discard what a killed command has begun beside an index, where that was to be another one."""
    if content_of(place) is None:
        return
    begun = read_description(place)
    if begun is None or replace(begun, depths=[], num_tuned=0) != description:
        discard(place, OWNED)


def _with_origins(
    known: Sequence[dict[str, Any]], collections: Sequence[Collection], out: Path
) -> tuple[list[dict[str, Any]], list[int]]:
    """Origins of an index with those of what comes to it, and the numbers of the latter."""
    origins, numbers = list(known), []
    for collection in collections:
        _require_same_origin(collection.origin, origins)
        number = next((n for n, one in enumerate(origins) if is_same(one, collection.origin)), len(origins))
        origins[number : number + 1] = [noted(collection.origin, collection.root, out)]
        numbers.append(number)
    return origins, numbers


def _embedder_of(config: IndexConfig, model: str, known: Mapping[str, Sequence[EncoderRecipe]]) -> Embedder:
    return Embedder(
        model,
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
                f"the index holds items of {other['path']}, whose ids begin with {other['prefix']!r}, too. Give "
                "this one another: --prefix NAME"
            )
