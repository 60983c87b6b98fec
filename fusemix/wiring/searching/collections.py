"""What is indexed: the pictures or sounds of a folder, or one side of a latent set.

Place in the flow: a path -> Collections: items with what a person needs to see of them, and how they are read.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from fusemix.datasets.folder import files_of, items_of
from fusemix.errors import ConfigError, DatasetError
from fusemix.interfaces import OWN, Items, Rejected
from fusemix.latents.description import SET
from fusemix.latents.item_tables import LABELS
from fusemix.latents.sets import LatentSet, Side
from fusemix.models.fitting import fitting_set
from fusemix.models.places import root_of
from fusemix.models.trained import Trained
from fusemix.remote.paths import Remote, located
from fusemix.search.table import ABOUT
from fusemix.wiring.searching.known import own_columns, photo_columns

MOST_CAPTIONS = 5
"""Captions that are kept of an item."""


class Collection(NamedTuple):
    """Items of one modality that are to be indexed.

    Attributes:
        origin: what they are, as plain data for index.json; enough to read them again. Its `prefix` is put before
            their ids, so that items of several origins do not collide.
        items: ids are those in their origin.
        paths: of the items, as far as they have any.
        captions: of each item, what is known of it in words.
        side: with the latents of the items, where they are there already.
        rows: of the origin, one an item.
        own: what a caption file says of them in columns of its own.
        notes: what a person should know: what was passed over.
        excluded: what the origin names and cannot give.
        root: folder that relative paths of the origin are relative to.
    """

    origin: dict[str, Any]
    items: Items
    paths: pa.Array
    captions: pa.Array
    side: Side | None
    rows: Int64[np.ndarray, " items"]
    own: pa.Table
    notes: list[str]
    excluded: list[Rejected]
    root: str

    @property
    def ids(self) -> list[str]:
        """Ids in the index."""
        return [self.origin["prefix"] + item for item in self.items.table["id"].to_pylist()]

    @property
    def is_of_files(self) -> bool:
        """Whether its items are files of a folder."""
        return self.side is None

    def table(self, number: int, places: Int64[np.ndarray, " some"]) -> pa.Table:
        """Some items as an index keeps them.

        Args:
            number: of the origin in index.json.
            places: of the items, from 0.
        """
        ids = self.items.table["id"].take(pa.array(places)).to_pylist()
        columns = {
            "id": [self.origin["prefix"] + item for item in ids],
            "modality": [self.items.modality] * len(ids),
            "path": self.paths.take(pa.array(places)),
            "captions": self.captions.take(pa.array(places)),
            "source": [number] * len(ids),
            "row": self.rows[places],
        }
        about = pa.table(columns, schema=ABOUT)
        if self.items.modality == "image":
            for name, column in photo_columns(self.root, about["path"].to_pylist()).items():
                about = about.append_column(name, column)
        for name in self.own.column_names:
            about = about.append_column(name, self.own[name].take(pa.array(places)))
        return about


def require_kind(data: str | None, latents: str | None) -> None:
    """Refuse a folder that is not there, and latents where pictures or sounds are due, or the other way round.

    Args:
        data, latents: as set, one of them; data may be a URL.

    Raises:
        DatasetError: it is not there.
        ConfigError: it is the other one.
    """
    if isinstance(folder := located(data or latents or ""), Remote):
        return
    folder = folder.expanduser()
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {data or latents}.")
    sets = _sets_in(folder)
    if data and sets:
        raise ConfigError(f"data={data} is a folder of latents, and not of pictures or sounds. Write latents={data}.")
    if latents and not sets:
        raise ConfigError(
            f"latents={latents} is no latent set: neither it nor a folder in it has {SET}. Of a folder of pictures or "
            f"sounds write data={latents}."
        )


def _sets_in(folder: Path) -> list[Path]:
    """The latent set that a folder is, or all that lie right below it."""
    return [folder] if (folder / SET).is_file() else sorted(path.parent for path in folder.glob(f"[!.]*/{SET}"))


def collections_of(
    data: str | None,
    latents: str | None,
    modality: str | None,
    trained: Trained,
    *,
    follow_links: bool = False,
    prefix: str | None = None,
) -> list[Collection]:
    """What a path stands for: a folder of files; or a latent set, or all latent sets right below it.

    Args:
        data, latents: the path, as the one or the other; see `require_kind`.
        modality: what is wanted of it; None takes what there is, where that is one.
        trained: the model that is to embed it.
        follow_links: of a folder, take what links that lead out of it lead to.
        prefix: of the ids of a folder's items; None: its name.

    Raises:
        DatasetError: it holds nothing that can be indexed.
        ConfigError: it holds several modalities and none was chosen, or not the chosen one.
        RunError: the model knows nothing of the modality, or other encoders made the latents.
    """
    if latents:
        return [_of_set(path, modality, trained) for path in _sets_in(Path(latents).expanduser())]
    folder = located(data or "")
    folder = folder if isinstance(folder, Remote) else folder.expanduser()
    return [_of_folder(folder, modality, trained, follow_links, prefix)]


def _of_folder(
    folder: Path | Remote, modality: str | None, trained: Trained, follow_links: bool, prefix: str | None
) -> Collection:
    files = files_of(folder, follow_links=follow_links)
    counts = {one: len(paths) for one, paths in files.paths.items()}
    if not counts:
        aside = "; ".join(f"{item.id}: {item.reason}" for item in files.excluded[:3])
        raise DatasetError(
            f"{folder} holds no pictures and no sounds ({files.num_others:,} other files)."
            + (f" Set aside: {len(files.excluded):,}, such as {aside}" if aside else "")
        )
    chosen = modality or _only_one([one for one in counts if one in trained.modalities] or list(counts), folder)
    trained.require_known(chosen)
    if chosen not in counts:
        raise ConfigError(f"{folder} holds no {chosen}, but: {', '.join(counts)}.")
    others = {**{one: count for one, count in counts.items() if one != chosen}, "other": files.num_others}
    passed = ", ".join(f"{count:,} {one} files" for one, count in others.items() if count)
    items = items_of(folder, chosen, files.paths[chosen], follow_links=follow_links)
    whole = folder.resolve() if isinstance(folder, Path) else folder
    prefix = f"{(prefix or whole.name).rstrip('/')}/"
    origin = {"kind": "folder", "path": str(whole), "modality": chosen, "prefix": prefix}
    return Collection(
        {**origin, "follow_links": True} if follow_links else origin,
        items,
        items.table["path"].combine_chunks(),
        pa.array([[]] * len(items), pa.list_(pa.string())),
        None,
        np.arange(len(items)),
        pa.table({}),
        [f"passed over: {passed}"] if passed else [],
        [item._replace(id=prefix + item.id) for item in files.excluded],
        origin["path"],
    )


def _only_one(modalities: list[str], where: Path | Remote) -> str:
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
    without = side.num_lacking
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
        own_columns(table[OWN].to_pylist()) if OWN in table.column_names else pa.table({}),
        [f"{without:,} items have no latent"] if without else [],
        [],
        root_of(described["source"], folder, paths[0].as_py() if len(paths) else None),
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
