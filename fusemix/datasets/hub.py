"""Rows of a hub data set, or of a local copy of one, with pictures and sounds left undecoded.

Place in the flow: hub name or folder -> datasets.Dataset -> media table, reader and captions.

Undecoded, because one broken picture would end an iteration over decoded rows, and because
decoding sounds in `datasets` needs torchcodec with matching FFmpeg libraries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from datasets import Audio, Dataset, Image, get_dataset_config_names, load_dataset

from fusemix.datasets.pairs import pair_captions
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet


@dataclass(frozen=True)
class ColumnReader:
    """Reads the encoded bytes of one row's picture or sound."""

    rows: Dataset
    column: str
    positions: pa.ChunkedArray

    def __call__(self, row: int) -> bytes:
        value = self.rows[self.positions[row].as_py()][self.column]
        if value is None:
            raise ValueError(f"the column {self.column!r} is empty")
        return value["bytes"] if value["bytes"] is not None else Path(value["path"]).read_bytes()


class CaptionedRows(NamedTuple):
    """Rows of a data set whose media are still to be grouped by id."""

    rows: Dataset
    column: str
    ids: Sequence[str]
    captions: Sequence[Sequence[str]]


def load_rows(path: str, *, config: str | None, split: str, revision: str | None) -> Dataset:
    """Load one split of a hub data set, or of a folder that holds a copy of it.

    Raises:
        DatasetError: it is not there, cannot be reached, or needs a loading script.
    """
    try:
        return load_dataset(path, config, split=split, revision=None if Path(path).exists() else revision)
    except RuntimeError as error:
        if "script" not in str(error):
            raise
        raise DatasetError(
            f"{path} is loaded by a script, which `datasets` no longer runs. Use a copy in parquet: for Flickr30K "
            "lmms-lab/flickr30k or mteb/flickr30kt2i, for others try revision=refs/convert/parquet."
        ) from error
    except (ValueError, OSError) as error:
        raise DatasetError(
            f"data set {path!r}, configuration {config!r}, split {split!r} cannot be loaded: "
            f"{str(error).splitlines()[0]} A local folder of parquet files works in place of a hub name."
        ) from error


def is_retrieval_layout(path: str, revision: str | None) -> bool:
    """Whether a data set has mteb's three configurations: corpus, queries and judgements."""
    try:
        names = get_dataset_config_names(path, revision=None if Path(path).exists() else revision)
    except (ValueError, OSError, RuntimeError) as error:
        raise DatasetError(f"data set {path!r} cannot be reached: {str(error).splitlines()[0]}") from error
    return "qrels" in names and "corpus" in names


def retrieval_rows(path: str, *, modality: str, split: str, revision: str | None) -> CaptionedRows:
    """Read mteb's text-to-media layout: corpus of media, queries of captions, judgements between them."""
    configs = get_dataset_config_names(path, revision=None if Path(path).exists() else revision)
    query_config = "queries" if "queries" in configs else "query"
    corpus = undecoded(load_rows(path, config="corpus", split=split, revision=revision), modality, path)
    queries = load_rows(path, config=query_config, split=split, revision=revision)
    judgements = load_rows(path, config="qrels", split=split, revision=revision)
    text_of = dict(zip(column(queries, "id", path), column(queries, "text", path), strict=True))
    captions: dict[str, list[str]] = {str(item): [] for item in column(corpus, "id", path)}
    for row in judgements:
        if row["score"] > 0:
            captions[str(row["corpus-id"])].append(text_of[row["query-id"]])
    return CaptionedRows(corpus, modality, list(captions), list(captions.values()))


def undecoded(rows: Dataset, name: str, path: str) -> Dataset:
    """The same rows, whose picture or sound column gives bytes instead of being decoded."""
    if name not in rows.column_names:
        raise DatasetError(f"{path} has no column {name!r}; it has: {', '.join(rows.column_names)}.")
    feature = rows.features[name]
    if isinstance(feature, Image):
        return rows.cast_column(name, Image(decode=False))
    if isinstance(feature, Audio) or _holds_bytes(feature):
        return rows.cast_column(name, Audio(decode=False))
    raise DatasetError(f"{path}: the column {name!r} holds neither pictures nor sounds but {feature}.")


def _holds_bytes(feature: Any) -> bool:
    return isinstance(feature, dict) and {"bytes", "path"} <= feature.keys()


def column(rows: Dataset, name: str, path: str) -> list[Any]:
    """One column, without touching the others.

    Raises:
        DatasetError: there is no such column.
    """
    if name not in rows.column_names:
        raise DatasetError(f"{path} has no column {name!r}; it has: {', '.join(rows.column_names)}.")
    return list(rows.select_columns([name])[:][name])


def pair_rows(source: CaptionedRows, *, dataset: str, revision: str, split: str, modality: str) -> PairSet:
    """Group rows of one id into one item, and link it with all its captions."""
    position_of: dict[str, int] = {}
    positions: list[int] = []
    captions: list[tuple[int, str]] = []
    for position, (item, texts) in enumerate(zip(source.ids, source.captions, strict=True)):
        if item not in position_of:
            position_of[item] = len(positions)
            positions.append(position)
        captions += [(position_of[item], text or "") for text in texts]
    rows = source.rows.select_columns([source.column])
    return pair_captions(
        dataset=dataset,
        revision=revision,
        split=split,
        modality=modality,
        media=pa.table({"id": list(position_of), "source_row": positions}),
        reader=lambda table: ColumnReader(rows, source.column, table["source_row"]),
        captions=captions,
    )


def revision_of(rows: Dataset, revision: str | None) -> str:
    """What is known of the copy: the revision that was asked for, and the content's own fingerprint.

    The fingerprint of `datasets` is a hash of the source files and of what was done to them.
    """
    checksums = sorted(rows.info.download_checksums or {})
    commits = {part.partition("/")[0] for url in checksums for part in url.split("@")[1:]}
    return revision or ",".join(sorted(commits)) or "local copy"
