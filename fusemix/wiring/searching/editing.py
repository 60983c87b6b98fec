"""Changes to an index that need neither model nor data: items leave it, and its folders lie elsewhere.

Place in the flow: ids, or OLD=NEW, and the index -> the index.
"""

from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fusemix.errors import ConfigError, QueryError
from fusemix.models.places import FROM_INDEX, ROOT, noted
from fusemix.parts.registry import nearest
from fusemix.search.description import write_description
from fusemix.search.folder import Index
from fusemix.search.table import quoted
from fusemix.search.writer import IndexWriter

ALL = "*"
"""Behind the beginning of ids."""
MOST_LOOKED_AT = 10_000
"""Ids among which one like it is looked for."""


def remove(folder: Path, wanted: Sequence[str]) -> list[str]:
    """Remove items, at once and for good; returns their ids.

    Args:
        folder: of the index.
        wanted: ids; with ALL at the end, all that begin so.

    Raises:
        QueryError: one stands for no item. Nothing is removed then.
        IndexFolderError: there is no index.
    """
    index = Index(folder)
    ids: dict[str, None] = {}
    for one in wanted:
        found = _found(index, one)
        if not found:
            raise QueryError(f"no item of {folder} has the id {one!r}.{_near(index, one)} Nothing was removed.")
        ids |= dict.fromkeys(found)
    stay_away = list(dict.fromkeys([*index.description.removed, *ids]))
    hashes = {**index.description.removed_sha256, **_hashes(index, ids)}
    writer = IndexWriter(folder, replace(index.description, removed=stay_away, removed_sha256=hashes))
    writer.remove(list(ids))
    writer.finish(dict)
    return list(ids)


def _found(index: Index, one: str) -> list[str]:
    if not one.endswith(ALL):
        return [] if index.find(one) is None else [one]
    where = f"starts_with(id, {quoted(one.removesuffix(ALL))})"
    return [item for batch in index.columns(["id"], where) for item in batch["id"].to_pylist()]


def _hashes(index: Index, ids: Container[str]) -> dict[str, str]:
    """Of the files of some items, where these have any."""
    batches = index.columns(["id", "sha256"], "sha256 IS NOT NULL")
    rows = (row for batch in batches for row in zip(batch["id"].to_pylist(), batch["sha256"].to_pylist(), strict=True))
    return {item: sha256 for item, sha256 in rows if item in ids}


def _near(index: Index, one: str) -> str:
    name = PurePosixPath(one).name
    where = f"contains(id, {quoted(name)})" if name and not name.endswith(ALL) else "true"
    some = [item for batch in index.columns(["id"], where) for item in batch["id"].to_pylist()]
    return nearest(one, some[:MOST_LOOKED_AT])


def relocate(folder: Path, moves: Sequence[str]) -> list[str]:
    """Say where folders of an index lie now; returns them, as they are called then.

    Args:
        folder: of the index.
        moves: OLD=NEW each; what lay at or below OLD lies below NEW.

    Raises:
        ConfigError: nothing of the index lay there, or nothing is there now. Nothing is changed then.
        IndexFolderError: there is no index.
    """
    description = Index(folder).description
    sources, told = list(description.sources), []
    for move in moves:
        old, _, new = move.partition("=")
        places = [number for number, source in enumerate(sources) if _below(source, old) is not None]
        if not places:
            known = ", ".join(str(source["path"]) for source in sources)
            raise ConfigError(f"no folder of {folder} lay at or below {old}; it has {known}.")
        for number in places:
            sources[number] = _moved(sources[number], old, Path(new).expanduser(), folder)
            told.append(sources[number]["path"])
    write_description(folder, replace(description, sources=sources))
    return told


def _below(source: dict[str, Any], old: str) -> Path | None:
    """Path of a source below a folder, or None where it does not lie there."""
    path = Path(str(source[ROOT] if source.get(ROOT) else source["path"]))
    return path.relative_to(Path(old).expanduser()) if path.is_relative_to(Path(old).expanduser()) else None


def _moved(source: dict[str, Any], old: str, new: Path, index: Path) -> dict[str, Any]:
    below = _below(source, old)
    assert below is not None, "looked at before"
    root = (new / below).resolve()
    if not root.exists():
        raise ConfigError(f"there is no {root}, where {source['path']} would lie. Nothing was changed.")
    kept = {key: value for key, value in source.items() if key not in (ROOT, FROM_INDEX)}
    path = str(root) if source["kind"] == "folder" else source["path"]
    return noted({**kept, "path": path}, str(root), index)
