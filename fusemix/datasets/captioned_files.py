"""A folder of pictures or sounds, and a caption file.

Place in the flow: files on disk -> PairSet. `flickr30k` is this with known counts.
"""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from fusemix.datasets.caption_files import CaptionLine, read_captions, read_list
from fusemix.datasets.columns import gather, keep, numbered, values
from fusemix.datasets.pairs import file_reader, pair_captions
from fusemix.datasets.remote_files import listed, remote_reader
from fusemix.disk.files import sha256_of_file
from fusemix.errors import DatasetError
from fusemix.interfaces import OWN, PairSet, Rejected
from fusemix.parts.kinds import Place
from fusemix.remote.fetched import here
from fusemix.remote.paths import Remote, located
from fusemix.split_names import meant

LINES = pa.schema([("file", pa.string()), ("caption", pa.string()), (OWN, pa.string())])
LISTED = pa.schema([("file", pa.string())])
FOUND = pa.schema([("path", pa.string()), ("num_bytes", pa.int64()), ("mtime_ns", pa.int64())])

THREADS, NAMES_AT_ONCE = 16, 1024


def image_captions(
    *,
    split: str,
    folder: Place,
    captions: Place,
    splits: dict[str, Place] | None = None,
    fractions: dict[str, float] | None = None,
    file_column: str | None = None,
    caption_column: str | None = None,
) -> PairSet:
    """A folder of pictures with captions.

    Args:
        split: the split to load; `val`, `valid`, `dev` and `validation` find one another where only one is there.
        folder: where the pictures lie, on this machine or behind a URL; the caption file names them relative to it.
        captions: caption file (`.csv`, `.tsv`, `.jsonl`, Karpathy's or COCO's `.json`, or Flickr's token file).
        splits: split -> file that lists its pictures, one name a line.
        fractions: split -> share of the pictures, drawn by a hash of their names, where no list says it.
        file_column, caption_column: columns of the caption file; by default the usual names are tried.

    Raises:
        DatasetError: a folder, file, column or split is not there, or no picture is.
    """
    table = here(captions)
    lines, aside = _lines_of_split(split, table, splits, fractions, file_column, caption_column)
    revision = sha256_of_file(table)[:12]
    return _with(aside, pair_files("image_captions", "image", split, located(folder), lines, revision))


def audio_captions(
    *,
    split: str,
    folder: Place,
    captions: Place,
    splits: dict[str, Place] | None = None,
    fractions: dict[str, float] | None = None,
    file_column: str | None = None,
    caption_column: str | None = None,
) -> PairSet:
    """A folder of sounds with captions; arguments and errors as for `image_captions`."""
    table = here(captions)
    lines, aside = _lines_of_split(split, table, splits, fractions, file_column, caption_column)
    revision = sha256_of_file(table)[:12]
    return _with(aside, pair_files("audio_captions", "audio", split, located(folder), lines, revision))


def pair_files(
    dataset: str,
    modality: str,
    split: str,
    folder: Path | Remote,
    lines: Iterable[CaptionLine] | pa.Table,
    revision: str,
) -> PairSet:
    """Pair the files of a folder with their captions; absent files are listed in `excluded`.

    Args:
        dataset: short name, for messages and reports.
        modality: of the files.
        split: the split that was read.
        folder: what the names of the files are relative to.
        lines: a caption of a file each, in the data set's order; or `line_table` of them.
        revision: which copy of the data this is.

    Raises:
        DatasetError: the folder is missing, or holds none of the files.
    """
    if not folder.is_dir():
        raise DatasetError(f"{dataset}: there is no folder {folder}.")
    columns = line_table(lines).columns
    del lines
    # Emptied on the way, so that no step holds the copies of an earlier one.
    parts = _media_and_captions(folder, columns)
    if len(parts["media"]) == 0:
        absent = parts["excluded"]
        named = f"the captions name {len(absent):,} files, such as {absent[0].id!r}" if absent else "no file named"
        raise DatasetError(f"{dataset}, split {split!r}: none of the files is in {folder}: {named}.")
    return pair_captions(
        dataset=dataset,
        revision=revision,
        split=split,
        modality=modality,
        media=parts.pop("media"),
        reader=file_reader if isinstance(folder, Path) else remote_reader,
        captions=parts.pop("captions"),
        excluded=parts.pop("excluded"),
    )


def line_table(lines: Iterable[CaptionLine] | pa.Table) -> pa.Table:
    """Columns `LINES` of millions of lines, without space around the caption; a table passes through."""
    if isinstance(lines, pa.Table):
        return lines
    return gather(((line.file, line.caption.strip(), line.own) for line in lines), LINES)


def _media_and_captions(folder: Path | Remote, columns: list[pa.ChunkedArray]) -> dict[str, Any]:
    """Out of the columns of `line_table`, which are popped: what `pair_captions` wants under these names."""
    own, captions, files = (columns.pop().chunks for _ in LINES)
    codes, first = numbered(files)
    names = keep(files, first)
    own = keep(own, first)  # of each file, what its first line says
    found, present, absent = _look_for(folder, names)
    media = found.add_column(0, "id", pa.chunked_array(keep(names, present), pa.string()))
    if any(len(chunk) > chunk.null_count for chunk in own):
        media = media.append_column(OWN, pa.chunked_array(keep(own, present), pa.string()))
    has_file = present[codes]
    rows = (np.cumsum(present) - 1)[codes[has_file]]
    captions = pa.chunked_array(keep(captions, has_file), pa.string())
    return {"media": media, "captions": pa.table({"row": rows, "caption": captions}), "excluded": absent}


def _look_for(
    folder: Path | Remote, names: list[pa.Array]
) -> tuple[pa.Table, Bool[np.ndarray, " files"], list[Rejected]]:
    """Path, size and time of change of the files that are there, which ones these are, and the others."""
    present = np.zeros(sum(map(len, names)), dtype=bool)
    absent: list[Rejected] = []
    reason = f"no such file in {folder}"

    def found() -> Iterator[tuple[str, int, int]]:
        every = values(names)
        looked = listed(folder, every) if isinstance(folder, Remote) else _looked_up(str(folder), every)
        for row, (name, there) in enumerate(looked):
            if there is None:
                absent.append(Rejected(name, "dataset", reason))
            else:
                present[row] = True
                yield there

    return gather(found(), FOUND), present, absent


def _looked_up(folder: str, names: Iterator[str]) -> Iterator[tuple[str, tuple[str, int, int] | None]]:
    """What `_on_disk` says of each name; in threads, since a file system on the network lets one wait for each."""

    def some(part: tuple[str, ...]) -> list[tuple[str, tuple[str, int, int] | None]]:
        return [(name, _on_disk(folder, name)) for name in part]

    with ThreadPoolExecutor(THREADS) as threads:
        while parts := list(islice(iter(lambda: tuple(islice(names, NAMES_AT_ONCE)), ()), 2 * THREADS)):
            for looked in threads.map(some, parts):
                yield from looked


def _on_disk(folder: str, name: str) -> tuple[str, int, int] | None:
    """Path, number of bytes, and when it was last changed in nanoseconds; None where there is no such file.

    Letters such as ü, which systems write in two ways, may be written in the other.
    """
    forms = [name] if name.isascii() else [name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]
    for form in forms if name else ():
        is_plain = "./" not in form and "//" not in form and not form.endswith(("/", "."))
        # A Path for each of millions takes its time.
        path = os.path.join(folder, form) if is_plain else str(Path(folder, form))  # noqa: PTH118
        with suppress(OSError, ValueError):  # no file system takes a name that is too long or holds a zero byte
            status = os.stat(path)  # noqa: PTH116
            if stat.S_ISREG(status.st_mode):
                return path, status.st_size, status.st_mtime_ns
    return None


def _with(aside: list[Rejected], pairs: PairSet) -> PairSet:
    return replace(pairs, excluded=(*pairs.excluded, *aside))


def _lines_of_split(
    split: str,
    captions: Path,
    splits: Mapping[str, str] | None,
    fractions: Mapping[str, float] | None,
    file_column: str | None,
    caption_column: str | None,
) -> tuple[pa.Table, list[Rejected]]:
    """Table of the lines, and captions of no file."""
    aside: list[Rejected] = []

    def lines() -> Iterator[CaptionLine]:
        aside.clear()
        return read_captions(captions, file_column=file_column, caption_column=caption_column, aside=aside)

    if splits and fractions:
        raise DatasetError("splits (lists of files) and fractions (shares) were both given: give only one of them.")
    if splits:
        listed = lines()  # says of a caption file that is missing before it looks for a list
        return _listed_lines(listed, here(splits[_known(split, splits, captions)])), aside
    if fractions:
        read, name = lines(), _known(split, fractions, captions)
        return line_table(line for line in read if split_by_hash(line.file, fractions) == name), aside
    known: dict[str, None] = {}

    def of_split(name: str) -> Iterator[CaptionLine]:
        for line in lines():
            if line.split:
                known[line.split] = None
            if (line.split or "all") == name:
                yield line

    table = line_table(of_split(split))
    if (name := _known(split, known or {"all": None}, captions)) != split:
        table = line_table(of_split(name))
    return table, aside


def _listed_lines(lines: Iterable[CaptionLine], split_list: Path) -> pa.Table:
    listed = gather(((name,) for name in read_list(split_list)), LISTED)
    table = line_table(lines)
    codes, first = numbered([*listed["file"].chunks, *table["file"].chunks])
    of_list, of_lines = codes[: len(listed)], codes[len(listed) :]
    is_listed, is_captioned = np.zeros((2, codes.max(initial=0) + 1), dtype=bool)
    is_listed[of_list], is_captioned[of_lines] = True, True
    # A listed file without caption must be listed as left out, so it passes with an empty one.
    silent = listed.filter(pa.array(first[: len(listed)] & ~is_captioned[of_list]))
    silent = silent.append_column("caption", pa.array([""] * len(silent), pa.string()))
    silent = silent.append_column(OWN, pa.nulls(len(silent), pa.string()))
    return pa.concat_tables([table.filter(pa.array(is_listed[of_lines])), silent])


def _known(split: str, known: Iterable[str], captions: Path) -> str:
    """The name of a split as it is written where splits are named."""
    name = meant(split, known)
    if name is None:
        raise DatasetError(
            f"{captions} has no split {split!r}; it has: {', '.join(known)}. Splits come from a column 'split', from "
            "dataset.options.splits (lists of files) or dataset.options.fractions, such as {train: 0.9, test: 0.1}."
        )
    return name


def split_by_hash(name: str, fractions: Mapping[str, float]) -> str | None:
    """The split that a name falls into: the same on every machine, whatever else is in the folder.

    Args:
        name: file name.
        fractions: split -> share; shares may add up to less than 1, and the rest is in no split.
    """
    shares = fractions.values()
    if not (min(shares) >= 0 and sum(shares) <= 1 + 1e-9):  # so that NaN is none either
        raise DatasetError(f"fractions must be positive and add up to at most 1, not {dict(fractions)}.")
    position = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64
    upper = 0.0
    for split, share in fractions.items():
        upper += share
        if position < upper:
            return split
    return None
