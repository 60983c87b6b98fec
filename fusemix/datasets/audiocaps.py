"""AudioCaps, from the authors' CSV files beside a folder of clips, or from the hub's parquet copies.

Place in the flow: files on disk or a hub -> PairSet.
Source: Kim et al., "AudioCaps", NAACL 2019; columns audiocap_id, youtube_id, start_time, caption.

Clips come from YouTube and vanish, so copies differ. What is absent is listed and counted, and
every report states how many clips and captions it was measured on.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from fusemix.datasets.caption_files import CaptionLine
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.hub import (
    CaptionedRows,
    is_retrieval_layout,
    load_rows,
    pair_rows,
    retrieval_rows,
    revision_of,
    stream,
    undecoded,
)
from fusemix.errors import DatasetError
from fusemix.files import sha256_of_file
from fusemix.interfaces import PairSet

SPLIT_FILES = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
CLIP_NAMES = ("{youtube_id}_{start_time}", "{audiocap_id}", "{youtube_id}", "Y{youtube_id}")
"""How downloaders name the clips, without ending."""
COLUMNS = {"audiocap_id", "youtube_id", "start_time", "caption"}
ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".webm")


def audiocaps(
    *,
    split: str,
    clips: str | None = None,
    annotations: str | None = None,
    parquet: str | None = None,
    revision: str | None = None,
) -> PairSet:
    """AudioCaps, from files (`clips` and `annotations`) or from a hub copy (`parquet`).

    Args:
        split: `train`, `validation` or `test`.
        clips: folder of sounds, named by YouTube id and start time, by audiocap id, or by YouTube id.
        annotations: folder of the authors' train.csv, val.csv and test.csv.
        parquet: hub name or folder of `OpenSound/AudioCaps` or of `mteb/audiocaps_t2a`.
        revision: commit of the hub copy.

    Raises:
        DatasetError: something is missing.
    """
    if split not in SPLIT_FILES:
        raise DatasetError(f"audiocaps has no split {split!r}; it has: {', '.join(SPLIT_FILES)}.")
    if clips and annotations and not parquet:
        table = Path(annotations) / SPLIT_FILES[split]
        if not table.is_file():
            raise DatasetError(f"audiocaps: there is no file {table}.")
        lines = _lines(table, Path(clips))
        return pair_files("audiocaps", "audio", split, Path(clips), lines, sha256_of_file(table)[:12])
    if parquet and not (clips or annotations):
        source = _hub_rows(parquet, split, revision)
        copy = revision_of(source.rows, parquet, revision)
        return pair_rows(source, dataset="audiocaps", revision=copy, split=split, modality="audio")
    raise DatasetError("audiocaps needs clips and annotations, or parquet alone.")


def _lines(table: Path, clips: Path) -> Iterator[CaptionLine]:
    present = {path.stem: path.name for path in sorted(clips.glob("*")) if path.suffix.lower() in ENDINGS}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))  # twice gone through, and 57 thousand at the most
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} cannot be read as CSV in UTF-8: {error}") from error
    if not rows or not rows[0].keys() >= COLUMNS:
        raise DatasetError(
            f"{table} is not one of AudioCaps' files: it needs the columns {', '.join(sorted(COLUMNS))}."
        )
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise DatasetError(
                f"{table}, row {number} after the header: it has more or fewer fields than the header. "
                "The file is cut off, or a caption that holds a comma lacks its double quotes."
            )
    file_of: dict[tuple[str, str], str] = {}
    for row in rows:  # a copy may hold a file per caption: all captions of a clip share the first that is there
        found = next((present[s] for name in CLIP_NAMES if (s := name.format(**row)) in present), None)
        if found:
            file_of.setdefault(_clip(row), found)
    for row in rows:
        yield CaptionLine(file_of.get(_clip(row), f"{CLIP_NAMES[0].format(**row)}.wav"), row["caption"])


def _clip(row: dict[str, str]) -> tuple[str, str]:
    return row["youtube_id"], row["start_time"]


def _hub_rows(parquet: str, split: str, revision: str | None) -> CaptionedRows:
    if is_retrieval_layout(parquet, revision):
        return retrieval_rows(parquet, modality="audio", split=split, revision=revision)
    rows = load_rows(parquet, config=None, split=split, revision=revision)
    rows = undecoded(rows, "audio", parquet, modality="audio")
    clips = zip(stream(rows, "youtube_id", parquet), stream(rows, "start_time", parquet), strict=True)
    ids = (f"{youtube_id}_{start_time}" for youtube_id, start_time in clips)
    return CaptionedRows(rows, "audio", ids, ([caption] for caption in stream(rows, "caption", parquet)))
