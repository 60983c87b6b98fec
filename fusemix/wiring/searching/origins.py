"""Items of an index, read again from where they were, for people to see.

Place in the flow: an origin in index.json -> its reader -> Searcher.content.
An index may come from somebody else: it names data sets of fusemix's own, and files below its origins, or nothing is
read.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from fusemix.datasets.remote_files import read_below_url
from fusemix.disk.files import lies_within
from fusemix.disk.regular import read_below
from fusemix.errors import FusemixError
from fusemix.interfaces import Content, Items, Raw
from fusemix.models.places import placed, root_now, roots
from fusemix.models.recipes import foreign_data, pairs_of
from fusemix.parts.trust import named_by_data, unknown
from fusemix.progress import console
from fusemix.remote.paths import Remote, located
from fusemix.urls import without_secrets

Decode = Callable[[str, Raw], Content]
"""What decodes an item of a modality, such as `encoders.decoding.decode`."""
Reader = Callable[[Mapping[str, Any], Decode], Content | None]
"""Row of an index -> content, or None where it is out of reach."""


def why_unseen(origin: Mapping[str, Any]) -> str | None:
    """Why items of an origin are not shown unless code is trusted; None where they are.

    Args:
        origin: out of index.json.
    """
    if origin["kind"] == "folder":
        return _why_not_opened(origin["path"])
    if not unknown(foreign_data(origin["data"])):
        return None
    return (
        f"items of {origin['path']} are not shown: the index reads them by {origin['data']['name']}, which runs code "
        "that is not fusemix's own. Look at that code first; if you trust it, say trust_code=true"
    )


def _why_not_opened(path: Any) -> str | None:
    """Why a folder of an index is not opened; None where it is one of this machine."""
    try:
        _opened(path)
    except FusemixError as error:
        return f"items of {without_secrets(str(path))} are not shown: {error}"
    return None


def _opened(path: Any) -> Path | Remote:
    with named_by_data():
        return located(str(path))


def reader_of(origin: Mapping[str, Any], index: Path, trust_code: bool = False) -> Reader:
    """Reads the items of an origin again: row of an index -> content, or None where it is out of reach.

    Args:
        origin: out of index.json. Nothing but it says which files are opened.
        index: folder of the index.
        trust_code: whether a data set that is not fusemix's own may run, and read files anywhere.
    """
    modality = origin["modality"]
    read = _of_folder(origin, index) if origin["kind"] == "folder" else _of_set(origin, index, trust_code)

    def content(item: Mapping[str, Any], decode: Decode) -> Content | None:
        try:
            raw = read(item)
            return raw if raw is None or isinstance(raw, str) else decode(modality, raw)
        except Exception:  # a file that is gone or has changed; there is an id to show
            return None

    return content


def _of_folder(origin: Mapping[str, Any], index: Path) -> Callable[[Mapping[str, Any]], Raw]:
    follow_links = origin.get("follow_links") is True

    def read(item: Mapping[str, Any]) -> Raw:
        if isinstance(folder := _opened(origin["path"]), Remote):
            return read_below_url(folder, item["path"])
        return read_below(root_now(origin, index, item["path"]), item["path"], follow_links=follow_links)

    return read


def _of_set(origin: Mapping[str, Any], index: Path, trust_code: bool) -> Callable[[Mapping[str, Any]], Raw | None]:
    modality, alone = origin["modality"], Lock()

    @cache
    def data() -> Mapping[str, Any]:
        return placed(origin["data"], list(roots(origin, index)))

    @cache
    def items() -> Items | None:
        try:
            pairs = pairs_of(data(), origin["split"], str(origin["path"]), trust_code)
            return next(side for side in pairs.sides if side.modality == modality)
        except Exception as error:  # any data set, also a user's own, may fail in any way
            console.print(f"items of {origin['path']} cannot be shown: {error}", style="yellow")
            return None

    def read(item: Mapping[str, Any]) -> Raw | None:
        if modality == "text":
            return item["captions"][0]
        with alone:  # a user's own data set may hold one open file
            if (found := items()) is None:
                return None
            if not trust_code:
                _require_below(data()["options"], found, item["row"])
            return found.read(item["row"])

    return read


def _require_below(options: Mapping[str, Any], items: Items, row: int) -> None:
    """Refuse a file outside all folders that the options of a data set name."""
    if "path" in items.table.column_names:
        path = Path(str(items.table["path"][row].as_py()))
        folders = [Path(value) for value in options.values() if isinstance(value, str) and Path(value).is_dir()]
        if path.exists() and not any(lies_within(path, folder) for folder in folders):
            raise ValueError(f"{path} lies outside the folders of its data set")
