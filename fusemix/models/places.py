"""Where the files of items lie now, seen from anywhere, as far as items have files of their own.

Place in the flow: an origin in index.json + an item -> an absolute path, or what the item lies within.
Not here: reading them (index_sources.py).

An origin notes its root, the folder that its paths are relative to, also as seen from the index, so that both can be
moved together. Data sets are cached by paths that may be relative to the folder that somebody stood in; where nothing
notes that folder, it is one of those that the latent set lies in.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.models.recipes import DataRecipe

ROOT, FROM_INDEX = "root", "from_index"
"""Keys of an origin in index.json."""
OPTIONS = ("folder", "captions", "images", "annotations", "clips", "parquet", "path", "blacklist", "class_names")
"""Options of fusemix's own data sets that name files and folders."""
ARCHIVES = (".tar",)
"""Files that hold many items each."""


class Place(NamedTuple):
    """Where an item lies.

    Attributes:
        path: of the file that is the item, absolute, whether or not it is still there; None where it has none.
        within: what holds an item that is no file: an archive, or the data set by its name; None where it is drawn, or
            is a text.
    """

    path: str | None
    within: str | None = None


def root_of(data: DataRecipe, folder: Path, path: str | None) -> str:
    """The folder that the relative paths of a data set are relative to: where one stands, or one above its latents.

    Args:
        data: `name` and `options` of the data set.
        folder: of the latent set.
        path: of one of its items.
    """
    named = [path] if path else [value for _, value in _paths(data.get("options") or {})]
    relative = [value for value in named if not Path(value).is_absolute()]
    here = Path.cwd()
    above = (one for one in (here, *folder.resolve().parents) if any((one / value).exists() for value in relative))
    return str(next(above, here))


def noted(origin: dict[str, Any], root: str, index: Path) -> dict[str, Any]:
    """An origin with its root, also as seen from the index."""
    return {**origin, ROOT: root, FROM_INDEX: os.path.relpath(root, index.resolve())}


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an origin of an index is one that comes to it; a folder of the same name that is gone has moved.

    Args:
        one: out of index.json.
        other: that comes.
    """
    before, after = ({key: of[key] for key in of if key not in (ROOT, FROM_INDEX)} for of in (one, other))
    if before == after:
        return True
    has_moved = one["kind"] == "folder" and not Path(str(one["path"])).exists()
    return has_moved and {**before, "path": ""} == {**after, "path": ""}


def roots(origin: Mapping[str, Any], index: Path) -> Iterator[Path]:
    """Folders that the paths of an origin may be relative to now, the likeliest first."""
    if isinstance(root := origin.get(ROOT, origin["path"] if origin["kind"] == "folder" else None), str):
        yield Path(root)
    if isinstance(beside := origin.get(FROM_INDEX), str):
        yield Path(os.path.normpath(index.resolve() / beside))
    if origin["kind"] != "folder":
        yield from (Path.cwd(), *Path(str(origin["path"])).parents, *index.resolve().parents)


def root_now(origin: Mapping[str, Any], index: Path, path: str) -> Path:
    """The first root below which a path is there; the likeliest where it is nowhere."""
    likeliest = next(roots(origin, index), Path.cwd())
    return next((root for root in roots(origin, index) if (root / path).exists()), likeliest)


def place_of(origin: Mapping[str, Any], item: Mapping[str, Any], index: Path) -> Place:
    """Where an item lies.

    Args:
        origin: out of index.json.
        item: of it.
        index: folder of the index.
    """
    if item["modality"] == "text":
        return Place(None)
    if not item["path"]:
        options = origin["data"].get("options") or {} if origin["kind"] != "folder" else {}
        name = next((options[name] for name in ("parquet", "path") if isinstance(options.get(name), str)), None)
        found = root_now(origin, index, name) / name if name else None
        return Place(None, str(found) if found is not None and found.exists() else name)
    path = os.path.normpath(root_now(origin, index, item["path"]) / item["path"])
    return Place(None, path) if path.lower().endswith(ARCHIVES) else Place(path)


def placed(data: DataRecipe, where: Sequence[Path]) -> DataRecipe:
    """A data set whose relative paths are made absolute, below the first folder in which they are there.

    Args:
        data: `name` and `options`.
        where: folders that they may be relative to.
    """
    options = dict(data.get("options") or {})
    for name, value in _paths(options):
        found = next((root / value for root in where if (root / value).exists()), None)
        if found is None or Path(value).is_absolute():
            continue
        outer, _, inner = name.partition(".")
        options[outer] = {**options[outer], inner: str(found)} if inner else str(found)
    return {**data, "options": options}


def _paths(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options that may name files, one inside another as `splits.train`, and what they name."""
    for name in (*OPTIONS, "splits"):
        value = options.get(name)
        if isinstance(value, str) and value:
            yield name, value
        elif isinstance(value, Mapping) and name == "splits":
            yield from ((f"{name}.{key}", one) for key, one in value.items() if isinstance(one, str))
