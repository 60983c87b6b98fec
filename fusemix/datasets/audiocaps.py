"""AudioCaps, from the authors' CSV files beside a folder of clips, or from the hub's parquet copies.

Place in the flow: files on disk or a hub -> PairSet.
Source: Kim et al., "AudioCaps", NAACL 2019; columns audiocap_id, youtube_id, start_time, caption.

Clips come from YouTube and vanish, so copies differ. What is absent is listed and counted, and
every report states how many clips and captions it was measured on.
"""

import contextlib
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from fusemix.datasets.caption_files import CaptionLine
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.endings import endings
from fusemix.datasets.given_values import id_text
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
from fusemix.datasets.tables import separator_of, table_rows
from fusemix.disk.files import sha256_of_file
from fusemix.disk.system_names import is_system_name
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet
from fusemix.parts.kinds import Location
from fusemix.split_names import require_known
from fusemix.text_files import open_text, why_no_text

SPLIT_FILES = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
SPLIT_FOLDERS = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}
"""Where downloaders put the clips of a split, if not into the folder itself."""
CLIP_NAMES = (
    "{youtube_id}_{start_time}",
    "{audiocap_id}",
    "{youtube_id}_{start:.3f}",
    "{youtube_id}_{start_ms}",
    "{youtube_id}",
)
"""How downloaders name the clips, without ending; some put a Y before the YouTube id."""
START_AND_END = re.compile(r"(.+)_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)")
SECONDS = 10
"""How long a clip is at most, which tells seconds in a name from milliseconds."""
COLUMNS = {"audiocap_id", "youtube_id", "start_time", "caption"}
TRAIN_CAPTIONS = {49_838: "1.0", 91_256: "2.0"}
"""Rows of train.csv, which tell the editions apart; those of the other splits are equally many. The README files in
dataset and dataset2.0 of the authors' repository state them."""
START = re.compile(r"\d+(\.\d+)?")


def audiocaps(
    *,
    split: str,
    clips: Location | None = None,
    annotations: Location | None = None,
    parquet: Location | None = None,
    revision: str | None = None,
) -> PairSet:
    """AudioCaps, from files (`clips` and `annotations`) or from a hub copy (`parquet`).

    Args:
        split: `train`, `validation` or `test`.
        clips: folder of sounds, or of a folder of them a split; named by audiocap id, or by YouTube id, with or without
            the start, or start and end, in seconds or milliseconds.
        annotations: folder of the authors' train.csv, val.csv and test.csv.
        parquet: hub name or folder of `OpenSound/AudioCaps` or of `mteb/audiocaps_t2a`.
        revision: commit of the hub copy.

    Raises:
        DatasetError: something is missing.
    """
    split = require_known("audiocaps", split, SPLIT_FILES)
    if clips and annotations and not parquet:
        table = Path(annotations) / SPLIT_FILES[split]
        if not table.is_file():
            raise DatasetError(f"audiocaps: there is no file {table}.")
        rows, edition = _rows(table), edition_of(Path(annotations))
        revision = f"{'AudioCaps 2.0 ' if edition == '2.0' else ''}{sha256_of_file(table)[:12]}"
        pairs = pair_files("audiocaps", "audio", split, Path(clips), _lines(rows, Path(clips), split), revision)
        return replace(pairs, published=(len(set(map(_clip, rows))), len(rows)) if edition else None)
    if parquet and not (clips or annotations):
        source = _hub_rows(parquet, split, revision)
        copy = revision_of(source.rows, parquet, revision)
        return pair_rows(source, dataset="audiocaps", revision=copy, split=split, modality="audio")
    raise DatasetError("audiocaps needs clips and annotations, or parquet alone.")


def edition_of(annotations: Path) -> str | None:
    """Which edition the authors' files in a folder are: 1.0, 2.0 of 2025, or unknown.

    Validation and test have equally many captions in both, so train.csv tells; without it the name of the folder, which
    is `dataset` or `dataset2.0` in the authors' repository.
    """
    table = annotations / SPLIT_FILES["train"]
    known = None
    if table.is_file():
        with contextlib.suppress(DatasetError):  # where it is the split that was asked for, it is refused as such
            known = TRAIN_CAPTIONS.get(len(_rows(table)))
    return known or ("2.0" if "2.0" in annotations.absolute().name else None)


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with open_text(table) as file:
            header = next(file, "")
            separator = separator_of(header, ",", lambda names: set(names) >= COLUMNS)
            lines = chain([header] if header else [], file)
            rows = list(table_rows(table, lines, separator))  # twice gone through, and 91 thousand at the most
    except UnicodeDecodeError as error:
        raise DatasetError(f"{table} cannot be read as CSV in UTF-8: {why_no_text(table)}") from error
    except csv.Error as error:
        raise DatasetError(f"{table} cannot be read as CSV in UTF-8: {error}") from error
    if not rows or not rows[0][1].keys() >= COLUMNS:
        raise DatasetError(
            f"{table} is not one of AudioCaps' files: it needs the columns {', '.join(sorted(COLUMNS))}."
        )
    for number, (line, row) in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise DatasetError(
                f"{table}, row {number} after the header: it has more or fewer fields than the header. "
                "The file is cut off, or a caption that holds a comma lacks its double quotes."
            )
        if not row["youtube_id"].strip() or not START.fullmatch(row["start_time"].strip()):
            raise DatasetError(
                f"{table}, line {line}: a YouTube id and a start in seconds were expected, not {row['youtube_id']!r} "
                f"and {row['start_time']!r}."
            )
    return [row for _, row in rows]


def _lines(rows: Sequence[dict[str, str]], clips: Path, split: str) -> Iterator[CaptionLine]:
    present = _present(clips, split)
    file_of: dict[tuple[str, str], str] = {}
    for row in rows:  # a copy may hold a file per caption: all captions of a clip share the first that is there
        found = next((present[name] for name in _names(row) if name in present), None)
        if found:
            file_of.setdefault(_clip(row), found)
    for row in rows:
        yield CaptionLine(file_of.get(_clip(row), f"{row['youtube_id']}_{row['start_time']}.wav"), row["caption"])


def _present(clips: Path, split: str) -> dict[str, str]:
    """Name without ending of every sound -> where it lies below `clips`: in the split's folder, else in `clips`."""
    folders = [name for name in SPLIT_FOLDERS[split] if (clips / name).is_dir()]
    present = {
        path.stem: path.relative_to(clips).as_posix()
        for folder in (clips, *(clips / name for name in folders))
        for path in sorted(folder.glob("*"))
        if path.suffix.lower() in endings("audio") and not is_system_name(path.name)
    }
    for stem, file in list(present.items()):  # AudioSet's own names: a clip may end early, so only its start counts
        if found := START_AND_END.fullmatch(stem):
            start, end = float(found[2]), float(found[3])
            unit = 1 if end - start <= SECONDS else 1000
            if 0 < end - start <= SECONDS * unit:
                present.setdefault(f"{found[1]}_{start / unit:.3f}", file)
    return present


def _names(row: dict[str, str]) -> Iterator[str]:
    """What the clip of a row may be called, without ending."""
    start = float(row["start_time"])
    for name in CLIP_NAMES:
        called = name.format(**row, start=start, start_ms=round(1000 * start))
        yield called
        if name != "{audiocap_id}":
            yield f"Y{called}"


def _clip(row: dict[str, str]) -> tuple[str, str]:
    return row["youtube_id"], row["start_time"]


def _hub_rows(parquet: str, split: str, revision: str | None) -> CaptionedRows:
    if is_retrieval_layout(parquet, revision):
        return retrieval_rows(parquet, modality="audio", split=split, revision=revision)
    rows = load_rows(parquet, config=None, split=split, revision=revision)
    rows = undecoded(rows, "audio", parquet, modality="audio")
    clips = zip(stream(rows, "youtube_id", parquet), stream(rows, "start_time", parquet), strict=True)
    named = ((id_text(youtube_id), id_text(start_time)) for youtube_id, start_time in clips)
    ids = (f"{youtube_id}_{start_time}" if youtube_id and start_time else "" for youtube_id, start_time in named)
    return CaptionedRows(rows, "audio", ids, ([caption] for caption in stream(rows, "caption", parquet)))
