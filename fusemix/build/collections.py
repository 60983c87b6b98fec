"""What is indexed: the pictures or sounds of a folder, or one side of a latent set.

Place in the flow: a path -> Collections: items with what a person needs to see of them, and how they are read.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from fusemix.build.fitting import fitting_set
from fusemix.build.trained import Trained
from fusemix.datasets import DATASETS
from fusemix.datasets.folder import files_of, items_of
from fusemix.errors import ConfigError, DatasetError
from fusemix.interfaces import Content, Items, Raw, Rejected
from fusemix.latents.item_tables import LABELS
from fusemix.latents.sets import SET, LatentSet, Side
from fusemix.regular import read_below
from fusemix.search.items import SCHEMA

MOST_CAPTIONS = 5
"""Captions that are kept of an item."""


class Collection(NamedTuple):
    """Items of one modality that are to be indexed.

    Attributes:
        source: what they are, as plain data for index.json; enough to read them again. Its `prefix` is put before
            their ids, so that items of several sources do not collide.
        items: ids are those in their source.
        paths: of the items, as far as they have any.
        captions: of each item, what is known of it in words.
        side: with the latents of the items, where they are there already.
        rows: of the source, one an item.
        notes: what a person should know: what was passed over.
        excluded: what the source names and cannot give.
    """

    source: dict[str, Any]
    items: Items
    paths: pa.Array
    captions: pa.Array
    side: Side | None
    rows: Int64[np.ndarray, " items"]
    notes: list[str]
    excluded: list[Rejected]

    @property
    def ids(self) -> list[str]:
        """Ids in the index."""
        return [self.source["prefix"] + item for item in self.items.table["id"].to_pylist()]

    def table(self, number: int, places: Int64[np.ndarray, " some"]) -> pa.Table:
        """Some items as an index keeps them.

        Args:
            number: of the source in index.json.
            places: of the items, from 0.
        """
        ids = self.items.table["id"].take(pa.array(places)).to_pylist()
        columns = {
            "id": [self.source["prefix"] + item for item in ids],
            "modality": [self.items.modality] * len(ids),
            "path": self.paths.take(pa.array(places)),
            "captions": self.captions.take(pa.array(places)),
            "source": [number] * len(ids),
            "row": self.rows[places],
        }
        return pa.table(columns, schema=SCHEMA)


def collections_of(data: str, modality: str | None, trained: Trained) -> list[Collection]:
    """What a path stands for: a latent set, all latent sets right below it, or a folder of files.

    Args:
        data: the path.
        modality: what is wanted of it; None takes what there is, where that is one.
        trained: the model that is to embed it.

    Raises:
        DatasetError: it is not there, or holds nothing that can be indexed.
        ConfigError: it holds several modalities and none was chosen, or not the chosen one.
        RunError: the model knows nothing of the modality, or other encoders made the latents.
    """
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {data}.")
    sets = [folder] if (folder / SET).is_file() else sorted(path.parent for path in folder.glob(f"*/{SET}"))
    if sets:
        return [_of_set(path, modality, trained) for path in sets]
    return [_of_folder(folder, modality, trained)]


def _of_folder(folder: Path, modality: str | None, trained: Trained) -> Collection:
    files = files_of(folder)
    counts = {one: len(paths) for one, paths in files.paths.items()}
    if not counts:
        raise DatasetError(f"{folder} holds no pictures and no sounds ({files.num_others:,} other files).")
    chosen = modality or _only_one([one for one in counts if one in trained.modalities] or list(counts), folder)
    trained.require_known(chosen)
    if chosen not in counts:
        raise ConfigError(f"{folder} holds no {chosen}, but: {', '.join(counts)}.")
    others = {**{one: count for one, count in counts.items() if one != chosen}, "other": files.num_others}
    passed = ", ".join(f"{count:,} {one} files" for one, count in others.items() if count)
    items = items_of(folder, chosen, files.paths[chosen])
    prefix = f"{folder.resolve().name}/"
    return Collection(
        {"kind": "folder", "path": str(folder.resolve()), "modality": chosen, "prefix": prefix},
        items,
        items.table["path"].combine_chunks(),
        pa.array([[]] * len(items), pa.list_(pa.string())),
        None,
        np.arange(len(items)),
        [f"passed over: {passed}"] if passed else [],
        files.excluded,
    )


def _only_one(modalities: list[str], where: Path) -> str:
    if len(modalities) > 1:
        raise ConfigError(f"{where} holds {' and '.join(modalities)}. Choose one: --modality {modalities[0]}")
    return modalities[0]


def _of_set(folder: Path, modality: str | None, trained: Trained) -> Collection:
    latent_set = fitting_set(folder, trained.record)
    here = [side.modality for side in latent_set.sides]
    chosen = modality or _only_one([one for one in here if one != "text"], folder)
    if chosen not in here:
        raise ConfigError(f"{folder} holds no {chosen}, but: {', '.join(here)}.")
    side = next(side for side in latent_set.sides if side.modality == chosen)
    rows = np.flatnonzero(side.valid)
    described = latent_set.description
    about_side = described["left" if side is latent_set.left else "right"]
    table = side.table.take(pa.array(rows))
    paths = table["path"].combine_chunks() if "path" in table.column_names else pa.nulls(len(rows), pa.string())
    without = len(side) - len(rows)
    return Collection(
        {
            "kind": "latent_set",
            "path": str(folder.resolve()),
            "modality": chosen,
            "prefix": f"{latent_set.name}/{chosen}/",
            "sha256": about_side["sha256"],
            "split": described["split"],
            "data": described["source"],
        },
        Items(chosen, table.select(["id"]), lambda row: row),
        paths.cast(pa.string()),
        pa.array(_captions(latent_set, side, rows), pa.list_(pa.string())),
        side,
        rows,
        [f"{without:,} items have no latent"] if without else [],
        [],
    )


def _captions(latent_set: LatentSet, side: Side, rows: Int64[np.ndarray, " rows"]) -> list[list[str]]:
    """What each item says itself, else the first captions of what it is linked to."""
    own = _label(side)
    if own is not None:
        return [[str(words)] if words else [] for words in side.table[own].take(pa.array(rows)).to_pylist()]
    here = latent_set.sides.index(side)
    label = _label(other := latent_set.sides[1 - here])
    if label is None:
        return [[] for _ in rows]
    links = latent_set.links[np.lexsort((latent_set.links[:, 1 - here], latent_set.links[:, here]))]
    starts = np.searchsorted(links[:, here], rows)
    stops = np.minimum(np.searchsorted(links[:, here], rows, side="right"), starts + MOST_CAPTIONS)
    column = other.table[label]
    return [
        [column[int(row)].as_py() for row in links[start:stop, 1 - here]]
        for start, stop in zip(starts, stops, strict=True)
    ]


def _label(side: Side) -> str | None:
    return next((name for name in LABELS if name in side.table.column_names), None)


Decode = Callable[[str, Raw], Content]
"""What decodes an item of a modality, such as `encoders.decoding.decode`."""


def reader_of(source: Mapping[str, Any]) -> Callable[[Mapping[str, Any], Decode], Content | None]:
    """Reads the items of a source again, for people to see: row of an index -> content, or None where it is gone.

    Args:
        source: out of index.json. Nothing but it says which files are opened.
    """
    modality, alone = source["modality"], Lock()

    def of_folder(item: Mapping[str, Any]) -> Raw:
        return read_below(source["path"], item["path"])

    @cache
    def items() -> Items:
        data = source["data"]
        pairs = DATASETS.build(data["name"], data["options"], split=source["split"])
        return next(side for side in pairs.sides if side.modality == modality)

    def of_set(item: Mapping[str, Any]) -> Raw:
        if modality == "text":
            return item["captions"][0]
        with alone:  # a user's own data set may hold one open file
            return items().read(item["row"])

    read = of_folder if source["kind"] == "folder" else of_set

    def content(item: Mapping[str, Any], decode: Decode) -> Content | None:
        try:
            raw = read(item)
            return raw if isinstance(raw, str) else decode(modality, raw)
        except Exception:  # any data set, also a user's own, may fail in any way; there is an id to show
            return None

    return content
