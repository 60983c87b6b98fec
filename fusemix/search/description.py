"""What an index says of itself: which segments count, what their files were, and what made them.

Place in the flow: index.json <-> Description.
Not here: what is in the segments (folder.py), adding to them (writer.py).

    index.json                     written last, whenever something was added: what counts
    segments/<name>.faiss          vectors, or codes with vectors in <name>.npy
    segments/<name>.parquet        items, row by row
    quarantine.jsonl               what could not be embedded
    parts/                         while a folder is being embedded: what is done so far
"""

import errno
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from fusemix.disk.discarding import says
from fusemix.disk.files import read_json, sha256_of_json, write_json
from fusemix.disk.proven_names import is_ours
from fusemix.errors import IndexFolderError
from fusemix.parts.kinds import record_of
from fusemix.search.precision import Precision
from fusemix.search.seals import Seal, problem_of

INDEX = "index.json"
SEGMENTS = "segments"
QUARANTINE = "quarantine.jsonl"
FORMAT = "fusemix.index"
VERSION = 3
WITHOUT_PRECISION = 2
"""A version that is read, too: its vectors are those of the model, in float32."""
WITHOUT_SEALS = 1
"""The same, and its segments have numbers for names, and no hashes."""
SUFFIXES = (".faiss", ".npy", ".parquet")
MOST_LEVEL = 4.0
"""Of a modality, see `Description.hub_levels`: a difference between scores, from which a constant was taken. More is
damage."""
NOT_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of the system that a sound file gives, too."""


@dataclass(frozen=True)
class Segment:
    """Some items that were indexed together; never changed once written.

    Attributes:
        name: of its files, without ending.
        counts: modality -> items.
        kind, probes, candidates, found: see `vectors.Built`.
        files: ending -> what the file was when it was written; none where an earlier version wrote it.
    """

    name: str
    counts: dict[str, int]
    kind: str
    probes: int
    candidates: int
    found: float
    files: dict[str, Seal] = field(default_factory=dict)

    @property
    def num_items(self) -> int:
        """Rows."""
        return sum(self.counts.values())

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of its files."""
        return SUFFIXES if self.probes else (".faiss", ".parquet")

    def file(self, folder: Path, suffix: str) -> Path:
        """Where its vectors (`.faiss`) or items (`.parquet`) lie."""
        return folder / SEGMENTS / f"{self.name}{suffix}"

    def problems(self, folder: Path, *, whole: bool) -> dict[Path, str]:
        """Its files that are not what they were -> why; arguments as for `seals.problem_of`."""
        files = {self.file(folder, suffix): self.files.get(suffix) for suffix in self.suffixes}
        found = {path: problem_of(path, seal, whole=whole) for path, seal in files.items()}
        return {path: problem for path, problem in found.items() if problem}


@dataclass(frozen=True)
class Description:
    """Content of index.json.

    Attributes:
        model: what embeds queries: `path`, `revision`, `checkpoint` and `sha256` of the adapters.
        dim: width of the vectors: the first so many numbers of embeddings.
        precision: of the vectors.
        hub_queries: modalities for which every vector holds one more number, in this order: what is added to the
            item's score when such a query asks. See models/hubs.py.
        hub_levels: direction, such as `text_to_image` -> what these numbers take from scores of all items of the
            modality alike, so that a search over several ranks them together; none where an earlier version wrote it.
        sources: where items come from, as plain data; items name them by number.
        segments: in order of position.
    """

    model: dict[str, Any]
    dim: int
    precision: Precision = "float32"
    hub_queries: list[str] = field(default_factory=list)
    hub_levels: dict[str, float] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    @property
    def num_items(self) -> int:
        """In all segments."""
        return sum(segment.num_items for segment in self.segments)

    @property
    def width(self) -> int:
        """Numbers that are kept of an item: its vector, and what is added to its scores."""
        return self.dim + len(self.hub_queries)

    def levels(self, gallery: str) -> list[float]:
        """What is taken from the scores of all items of a modality alike, for each of `hub_queries`."""
        return [self.hub_levels.get(f"{query}_to_{gallery}", 0.0) for query in self.hub_queries]

    @property
    def counts(self) -> dict[str, int]:
        """Modality -> items."""
        counts: Counter[str] = Counter()
        for segment in self.segments:
            counts.update(segment.counts)
        return dict(counts)


def is_index(folder: Path) -> bool:
    """Whether a folder holds an index, by what its index.json says and not by its name."""
    return says(folder / INDEX, FORMAT, VERSION)


def read_description(folder: Path) -> Description | None:
    """What an index says of itself, or None where there is none.

    Raises:
        IndexFolderError: it is damaged, of another version, or no index.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        data = read_json(path)
        what = data.pop("format"), data.pop("version")
        data.pop("sha256", None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexFolderError(
            f"{path} is damaged, or no index of fusemix. Choose another folder; if it was an index, delete it by hand."
        ) from error
    if what not in ((FORMAT, WITHOUT_SEALS), (FORMAT, WITHOUT_PRECISION), (FORMAT, VERSION)):
        raise IndexFolderError(f"{path} is of another version, or no index of fusemix. Choose another folder.")
    try:
        segments = [_segment(segment, what[1]) for segment in data["segments"]]
        description = record_of(Description, {**data, "segments": segments})
        _require_levels(description.hub_levels)
        return description
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, "is damaged") from error


def _require_levels(levels: dict[str, float]) -> None:
    for direction, level in levels.items():
        if not abs(level) <= MOST_LEVEL:  # NaN is not, either
            raise ValueError(f"no level of {direction} is {level!r}")


def _segment(row: dict[str, Any], version: int) -> Segment:
    if version == WITHOUT_SEALS:
        number = row["number"]
        row = {"name": f"{number:05}", **{key: value for key, value in row.items() if key != "number"}}
    files = {suffix: record_of(Seal, seal) for suffix, seal in row.get("files", {}).items()}
    segment = record_of(Segment, {**row, "files": files})
    if not is_ours(segment.name) and not (re.fullmatch(r"[0-9]{5,}", segment.name) and not files):
        raise ValueError(f"no segment is called {segment.name!r}")
    if files and (set(files) != set(segment.suffixes) or any(len(seal.bulk) != 2 for seal in files.values())):
        raise ValueError(f"segment {segment.name} has other files")
    return segment


def write_description(folder: Path, description: Description) -> None:
    """Make what was added count."""
    data = {"format": FORMAT, "version": VERSION, **asdict(description)}
    write_json(folder / INDEX, {**data, "sha256": sha256_of_json(data)})


def problems_of(folder: Path, description: Description) -> dict[Path, str]:
    """Files of an index of which some byte is not what it was, index.json among them -> what has become of them."""
    data = read_json(folder / INDEX)
    sha256 = data.pop("sha256", None)
    found = {}
    if sha256 not in (None, sha256_of_json(data)):
        found[folder / INDEX] = "does not have the content that it was sealed with"
    for segment in description.segments:
        found.update(segment.problems(folder, whole=True))
    return found


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


@contextmanager
def telling_damage(path: Path) -> Iterator[None]:
    """Whatever a library says of a file that it cannot read becomes `damaged`; a fault of the system's stays that."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, IndexError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno in NOT_DAMAGE:
            raise
        raise damaged(path, "is missing or damaged") from error
