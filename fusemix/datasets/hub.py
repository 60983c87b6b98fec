"""Rows of a hub data set, or of a local copy of one, with pictures and sounds left undecoded.

Place in the flow: hub name or folder -> datasets.Dataset -> media table, reader and captions.

Undecoded, because one broken picture would end an iteration over decoded rows, and because
decoding sounds in `datasets` needs torchcodec with matching FFmpeg libraries.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets.config
import numpy as np
import pyarrow as pa
from datasets import Audio, Dataset, Image, get_dataset_config_names, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetsError

from fusemix.datasets.columns import ROWS_AT_ONCE, are_full, gather, keep, numbered, values
from fusemix.datasets.given_values import id_text
from fusemix.datasets.pairs import pair_captions
from fusemix.datasets.same_media import require_same_media
from fusemix.disk.files import sha256_of_json
from fusemix.disk.regular import read_regular
from fusemix.errors import DatasetError, first_line
from fusemix.interfaces import PairSet, Rejected
from fusemix.split_names import meant

FEATURES = {"image": Image, "audio": Audio}
IDS = pa.schema([("id", pa.string())])
NO_ID = "its id is missing, so it cannot be told which pictures or sounds are the same"
KNOWN_SPLITS = re.compile(r"^Unknown split .* Should be one of \[(.*)\]", re.DOTALL)
"""How `datasets` refuses a split."""
SPLIT_NAME = re.compile(r"^\s*[^\s\[]+")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ColumnReader:
    """Reads the encoded bytes of one row's picture or sound."""

    rows: Dataset
    column: str
    positions: pa.ChunkedArray

    def __call__(self, row: int) -> bytes:
        """Bytes of the picture or sound of a row."""
        value = self.rows[self.positions[row].as_py()][self.column]
        if value is None:
            raise ValueError(f"the column {self.column!r} is empty")
        return value["bytes"] if value["bytes"] is not None else read_regular(value["path"])


class CaptionedRows(NamedTuple):
    """Rows of a data set whose media are still to be grouped by id.

    Attributes:
        rows: in the data set's order.
        column: of the pictures or sounds.
        ids, captions: one id and any number of captions a row; both are read once, and may be streams. A row whose id
            is empty is left out and listed.
        excluded: what the data set has named and could not give.
        id_column: where the ids come from, if they are the user's word: rows of one id must hold the same then.
    """

    rows: Dataset
    column: str
    ids: Iterable[str]
    captions: Iterable[Sequence[str | None]]
    excluded: Sequence[Rejected] = ()
    id_column: str | None = None


def load_rows(path: str, *, config: str | None, split: str, revision: str | None) -> Dataset:
    """Load one split of a hub data set, or of a folder that holds a copy of it.

    Raises:
        DatasetError: it is not there, cannot be reached, is damaged or incomplete, or needs a loading script.
    """
    where: dict[str, Any] = {"cache_dir": _cache_of(Path(path))} if Path(path).is_dir() else {"revision": revision}
    try:
        try:
            return load_dataset(path, config, split=split, **where)
        except ValueError as error:
            if (as_called := _as_called(split, str(error))) == split:
                raise
            return load_dataset(path, config, split=as_called, **where)
    except RuntimeError as error:
        if "script" not in str(error):
            raise
        raise DatasetError(
            f"{path} is loaded by a script, which `datasets` no longer runs. Use a copy in parquet: for Flickr30K "
            "lmms-lab/flickr30k or mteb/flickr30kt2i, for others try revision=refs/convert/parquet."
        ) from error
    except (ValueError, OSError, DatasetsError) as error:
        # While it builds its cache, `datasets` hides what went wrong in the cause.
        reason = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
        raise DatasetError(
            f"data set {path!r}, configuration {config!r}, split {split!r} cannot be loaded: "
            f"{type(reason).__name__}: {first_line(reason)} "
            "A local folder of parquet files works in place of a hub name."
        ) from error


def _as_called(split: str, refusal: str) -> str:
    """A split, a slice or a sum of some, by the names that `datasets` knows them by, as it lists them in a refusal.

    Such as `validation[:100]` for `val[:100]`, where it says: Unknown split "val". Should be one of ['validation'].
    """
    listed = KNOWN_SPLITS.search(refusal)
    known = re.findall(r"'([^']*)'", listed[1]) if listed else []
    return "+".join(SPLIT_NAME.sub(lambda found: meant(found[0], known) or found[0], one) for one in split.split("+"))


def _cache_of(folder: Path) -> str:
    """A cache of its own for every state of a local copy.

    `datasets` tells copies whose README declares configurations apart by the folder's name and the README alone, so
    from its own cache it would give the rows of an older or of another copy.
    """
    state = [[str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns] for path in _files(folder)]
    return str(Path(datasets.config.HF_DATASETS_CACHE) / f"fusemix-{sha256_of_json(state)[:16]}")


def is_retrieval_layout(path: str, revision: str | None) -> bool:
    """Whether a data set has mteb's three configurations: corpus, queries and judgements."""
    try:
        names = get_dataset_config_names(path, revision=None if Path(path).exists() else revision)
    except (ValueError, OSError, RuntimeError) as error:
        raise DatasetError(f"data set {path!r} cannot be reached: {first_line(error)}") from error
    return "qrels" in names and "corpus" in names


def retrieval_rows(path: str, *, modality: str, split: str, revision: str | None) -> CaptionedRows:
    """Read mteb's text-to-media layout: corpus of media, queries of captions, judgements between them.

    What a judgement names and the copy lacks is listed in `excluded`.
    """
    configs = get_dataset_config_names(path, revision=None if Path(path).exists() else revision)
    query_config = "queries" if "queries" in configs else "query"
    corpus = load_rows(path, config="corpus", split=split, revision=revision)
    corpus = undecoded(corpus, modality, path, modality=modality)
    queries = load_rows(path, config=query_config, split=split, revision=revision)
    judgements = load_rows(path, config="qrels", split=split, revision=revision)
    text_of = _text_of(zip(column(queries, "id", path), column(queries, "text", path), strict=True), path)
    ids = [id_text(item) for item in column(corpus, "id", path)]
    captions: dict[str, list[str]] = {item: [] for item in ids if item}
    absent: dict[tuple[str, str], Rejected] = {}
    judged = zip(*(column(judgements, name, path) for name in ("corpus-id", "query-id", "score")), strict=True)
    for item, query in ((id_text(item), id_text(query)) for item, query, score in judged if (score or 0) > 0):
        if item in captions and query in text_of:
            captions[item].append(text_of[query])
        for name, config, known in ((item, "corpus", captions), (query, query_config, text_of)):
            if name not in known:
                absent[config, name] = Rejected(name, "dataset", f"no such row in {config} of {path}")
    # An id that occurs twice keeps its captions at its first row.
    texts = [captions.pop(item, []) for item in ids]
    return CaptionedRows(corpus, modality, ids, texts, list(absent.values()), "id")


def _text_of(queries: Iterable[tuple[Any, str]], path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for query, text in ((id_text(query), text) for query, text in queries):
        if query and found.setdefault(query, text) != text:
            both = f"{str(found[query])[:60]!r} and {str(text)[:60]!r}"
            raise DatasetError(
                f"{path}: the query {query!r} occurs with two texts, {both}, so it cannot be known which one its "
                "judgements mean. The copy is damaged; load it again."
            )
    return found


def undecoded(rows: Dataset, name: str, path: str, *, modality: str) -> Dataset:
    """The same rows, whose picture or sound column gives bytes instead of being decoded.

    Raises:
        DatasetError: there is no such column, or it holds something else.
    """
    if name not in rows.column_names:
        raise DatasetError(f"{path} has no column {name!r}; it has: {', '.join(rows.column_names)}.")
    feature = rows.features[name]
    wanted = FEATURES[modality]
    if isinstance(feature, wanted) or _holds_bytes(feature):
        return rows.cast_column(name, wanted(decode=False))
    raise DatasetError(f"{path}: the column {name!r} does not hold {modality} files but {feature}.")


def _holds_bytes(feature: Any) -> bool:
    return isinstance(feature, dict) and {"bytes", "path"} <= feature.keys()


def column(rows: Dataset, name: str, path: str) -> list[Any]:
    """One column as a list, without touching the others; for millions of rows see `stream`.

    Raises:
        DatasetError: there is no such column.
    """
    return list(stream(rows, name, path))


def stream(rows: Dataset, name: str, path: str) -> Iterator[Any]:
    """The values of one column, a chunk of rows in memory at a time.

    Raises:
        DatasetError: at once where there is no such column.
    """
    if name not in rows.column_names:
        raise DatasetError(f"{path} has no column {name!r}; it has: {', '.join(rows.column_names)}.")
    parts: Any = rows.select_columns([name]).with_format("arrow").iter(ROWS_AT_ONCE)
    return (value for part in parts for value in part[name].to_pylist())


def pair_rows(source: CaptionedRows, *, dataset: str, revision: str, split: str, modality: str) -> PairSet:
    """Group rows of one id into one item, and link it with all its captions."""
    ids = gather(((item,) for item in source.ids), IDS)["id"].chunks
    items, first = numbered(ids)
    blank = ~are_full(ids)
    if source.id_column:
        require_same_media(source.rows, source.column, items, first | blank, source.id_column)
    unnamed = [Rejected(f"row {row}", "dataset", NO_ID) for row in np.flatnonzero(blank).tolist()]
    if unnamed:  # all of them have one number, which nothing else has
        number = items[np.argmax(blank)]
        items = np.where(blank, -1, items - (items > number))
    first &= ~blank
    media = pa.table({"id": pa.chunked_array(keep(ids, first), pa.string()), "source_row": np.flatnonzero(first)})
    per_row = (
        (item, texts) for item, texts in zip(values([pa.array(items)]), source.captions, strict=True) if item >= 0
    )
    rows = source.rows.select_columns([source.column])
    return pair_captions(
        dataset=dataset,
        revision=revision,
        split=split,
        modality=modality,
        media=media,
        reader=lambda table: ColumnReader(rows, source.column, table["source_row"]),
        captions=((item, _text(text, dataset)) for item, texts in per_row for text in texts),
        excluded=[*source.excluded, *unnamed],
    )


def _text(caption: Any, dataset: str) -> str:
    if not isinstance(caption, str | None):
        raise DatasetError(f"{dataset}: a caption is {caption!r}, of type {type(caption).__name__}, and must be text.")
    return caption or ""


def revision_of(rows: Dataset, path: str, revision: str | None) -> str:
    """Which copy was loaded: of a folder its files' names and sizes, hashed; of the hub the commit.

    `datasets` keeps what it has loaded from the hub in a folder that is named by the commit.
    """
    if Path(path).is_dir():
        return (
            f"local {sha256_of_json([[str(f.relative_to(path)), f.stat().st_size] for f in _files(Path(path))])[:12]}"
        )
    folders = {Path(file["filename"]).parent.name for file in rows.cache_files}
    return revision or ",".join(sorted(filter(COMMIT.fullmatch, folders))) or "unknown"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
