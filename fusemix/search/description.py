"""What an index says of itself: what made it, where its items come from, and what its searches find.

Place in the flow: index.json <-> Description.
Not here: the items themselves (folder.py), adding to them (writer.py).

    index.json          what the items are of; written before them, and again when a command ends
    items.lance/        the items: a table of LanceDB's
    seals.json          what its files were when a command ended
    quarantine.jsonl    what could not be embedded
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from fusemix.disk.discarding import says
from fusemix.disk.files import read_json, sha256_of_json, write_json
from fusemix.errors import IndexFolderError
from fusemix.parts.kinds import record_of

INDEX = "index.json"
ITEMS = "items"
TABLE = f"{ITEMS}.lance"
QUARANTINE = "quarantine.jsonl"
FORMAT = "fusemix.index"
VERSION = 4
OF_SEGMENTS = (1, 2, 3)
"""Versions whose items were files of FAISS and parquet; see earlier.py."""
MOST_LEVEL = 4.0
"""Of a modality, see `Description.hub_levels`: a difference between scores, from which a constant was taken. More is
damage."""
NOT_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that a sound file gives, too."""
PANICS = ("PanicException", "RustPanic")
"""What Rust code makes of what it did not expect."""
SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


@dataclass(frozen=True)
class Depth:
    """How far a search for so many items looks, and what it found when it was tried.

    Attributes:
        k: items that are asked for, at most.
        probes: lists of the inverted file that a query looks at.
        candidates: vectors that are compared then.
        found: modality of queries -> share of the exact first `k` that they found.
    """

    k: int
    probes: int
    candidates: int
    found: dict[str, float]


@dataclass(frozen=True)
class Description:
    """Content of index.json.

    Attributes:
        model: what embeds queries: `path`, `revision`, `checkpoint` and `sha256` of the adapters.
        dim: width of the vectors: the first so many numbers of embeddings.
        precision: of the vectors, `float32` or `float16`.
        hub_queries: modalities for which every vector holds one more number, in this order: what is added to the
            item's score when such a query asks. See models/hubs.py.
        hub_levels: direction, such as `text_to_image` -> what these numbers take from scores of all items of the
            modality alike, so that a search over several ranks them together; none where an earlier version wrote it.
        sources: where items come from, as plain data; items name them by number.
        removed: ids of items that were removed by hand, and do not come back with their folder.
        removed_sha256: id of such an item -> hash of its file, where that is known: the file does not come back by
            another road either.
        depths: of searches, ascending; none where every item is compared.
        num_tuned: items that there were when these were chosen.
    """

    model: dict[str, Any]
    dim: int
    precision: str = "float32"
    hub_queries: list[str] = field(default_factory=list)
    hub_levels: dict[str, float] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    removed_sha256: dict[str, str] = field(default_factory=dict)
    depths: list[Depth] = field(default_factory=list)
    num_tuned: int = 0

    @property
    def width(self) -> int:
        """Numbers that are kept of an item: its vector, and what is added to its scores."""
        return self.dim + len(self.hub_queries)

    def levels(self, gallery: str) -> list[float]:
        """What is taken from the scores of all items of a modality alike, for each of `hub_queries`."""
        return [self.hub_levels.get(f"{query}_to_{gallery}", 0.0) for query in self.hub_queries]

    def depth(self, k: int) -> Depth | None:
        """How far a search for `k` items looks; None where it compares every item."""
        deep = [one for one in self.depths if one.k >= k] or self.depths[-1:]
        return deep[0] if deep else None


def is_index(folder: Path) -> bool:
    """Whether a folder holds an index, by what its index.json says and not by its name."""
    return says(folder / INDEX, FORMAT, VERSION)


def read_description(folder: Path) -> Description | None:
    """What an index says of itself, or None where there is none.

    Raises:
        IndexFolderError: it is damaged, of another version, or no index.
    """
    data = content_of(folder)
    if data is None:
        return None
    if data["version"] in OF_SEGMENTS:
        raise IndexFolderError(
            f"{folder} was made by an earlier version of fusemix. Take it over, without embedding anything again: "
            f"fusemix upgrade-index {folder}"
        )
    try:
        rest = {key: value for key, value in data.items() if key not in ("format", "version", "sha256")}
        depths = [record_of(Depth, depth) for depth in rest["depths"]]
        description = record_of(Description, {**rest, "depths": depths})
        _require_sound(description)
        return description
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder / INDEX, "is damaged") from error


def content_of(folder: Path) -> dict[str, Any] | None:
    """What an index.json of some version says, or None where there is none.

    Raises:
        IndexFolderError: it is damaged, of a version to come, or no index.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        data = read_json(path)
        what = data["format"], data["version"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexFolderError(
            f"{path} is damaged, or no index of fusemix. Choose another folder; if it was an index, delete it by hand."
        ) from error
    if what[0] == FORMAT and isinstance(what[1], int) and what[1] > VERSION:
        raise IndexFolderError(
            f"{folder} was made by a newer fusemix: its index is of version {what[1]}, and this one reads versions up "
            f"to {VERSION}. Update fusemix. Choose another folder to write to."
        )
    if what not in [(FORMAT, version) for version in (*OF_SEGMENTS, VERSION)]:
        raise IndexFolderError(f"{path} is of another version, or no index of fusemix. Choose another folder.")
    return data


def _require_sound(description: Description) -> None:
    for direction, level in description.hub_levels.items():
        if not abs(level) <= MOST_LEVEL:  # NaN is not, either
            raise ValueError(f"no level of {direction} is {level!r}")
    for depth in description.depths:
        if min(depth.k, depth.probes, depth.candidates) < 1:
            raise ValueError(f"no search looks at {depth}")
    if description.precision not in ("float32", "float16") or description.dim < 1:
        raise ValueError("no vectors are such")


def write_description(folder: Path, description: Description) -> None:
    """Make it count."""
    data = {"format": FORMAT, "version": VERSION, **asdict(description)}
    write_json(folder / INDEX, {**data, "sha256": sha256_of_json(data)})


def is_as_written(folder: Path) -> bool:
    """Whether index.json has the content that it was written with."""
    data = read_json(folder / INDEX)
    sha256 = data.pop("sha256", None)
    return sha256 in (None, sha256_of_json(data))


def damaged(path: Path, how: str) -> IndexFolderError:
    """What to raise where a file of an index is not what it was.

    Args:
        path: of the file.
        how: words that follow it.
    """
    return IndexFolderError(
        f"{path} {how}. `fusemix verify` says what else is. Make the index again (fusemix index … --overwrite), or "
        "bring the file back from a copy."
    )


def system_error_in(error: Exception) -> int:
    """Number of the system's error behind an error, which LanceDB tells in words alone; 0 where there is none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = SYSTEM_ERROR.search(str(error))
    return int(found[1]) if found else 0


@contextmanager
def telling_damage(path: Path) -> Iterator[None]:
    """Whatever a library says of a file that it cannot read becomes `damaged`; a fault of the system's stays that."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, IndexError, pa.ArrowException) as error:
        if (number := system_error_in(error)) in NOT_DAMAGE:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise damaged(path, "is missing or damaged") from error
    except BaseException as error:
        if type(error).__name__ not in PANICS:
            raise
        raise damaged(path, "is damaged") from None
