"""A folder of pictures or sounds, and a caption file.

Place in the flow: files on disk -> PairSet. `flickr30k` is this with known counts.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from fusemix.datasets.caption_files import CaptionLine, read_captions, read_list
from fusemix.datasets.pairs import file_reader, pair_captions
from fusemix.errors import DatasetError
from fusemix.files import sha256_of_file
from fusemix.interfaces import PairSet, Rejected


def image_captions(
    *,
    split: str,
    folder: str,
    captions: str,
    splits: dict[str, str] | None = None,
    fractions: dict[str, float] | None = None,
    file_column: str | None = None,
    caption_column: str | None = None,
) -> PairSet:
    """A folder of pictures with captions.

    Args:
        split: the split to load.
        folder: where the pictures lie; the caption file names them relative to it.
        captions: caption file (`.csv`, `.tsv`, `.jsonl`, Karpathy's `.json`, or Flickr's token file).
        splits: split -> file that lists its pictures, one name a line.
        fractions: split -> share of the pictures, drawn by a hash of their names, where no list says it.
        file_column, caption_column: columns of the caption file; by default the usual names are tried.

    Raises:
        DatasetError: a folder, file, column or split is not there, or no picture is.
    """
    lines, revision = _lines_of_split(split, Path(captions), splits, fractions, file_column, caption_column)
    return pair_files("image_captions", "image", split, Path(folder), lines, revision)


def audio_captions(
    *,
    split: str,
    folder: str,
    captions: str,
    splits: dict[str, str] | None = None,
    fractions: dict[str, float] | None = None,
    file_column: str | None = None,
    caption_column: str | None = None,
) -> PairSet:
    """A folder of sounds with captions; arguments and errors as for `image_captions`."""
    lines, revision = _lines_of_split(split, Path(captions), splits, fractions, file_column, caption_column)
    return pair_files("audio_captions", "audio", split, Path(folder), lines, revision)


def pair_files(
    dataset: str, modality: str, split: str, folder: Path, lines: Iterable[CaptionLine], revision: str
) -> PairSet:
    """Pair the files of a folder with their captions; absent files are listed in `excluded`.

    Raises:
        DatasetError: the folder is missing, or holds none of the files.
    """
    if not folder.is_dir():
        raise DatasetError(f"{dataset}: there is no folder {folder}.")
    rows: dict[str, int] = {}
    sizes: list[int] = []
    absent: dict[str, Rejected] = {}
    captions: list[tuple[int, str]] = []
    for line in lines:
        if line.file not in rows and line.file not in absent:
            path = folder / line.file
            if line.file and path.is_file():
                rows[line.file] = len(sizes)
                sizes.append(path.stat().st_size)
            else:
                absent[line.file] = Rejected(line.file, "dataset", f"no such file in {folder}")
        if line.file in rows:
            captions.append((rows[line.file], line.caption))
    if not rows:
        named = (
            f"the captions name {len(absent):,} files, such as {next(iter(absent))!r}" if absent else "no file named"
        )
        raise DatasetError(f"{dataset}, split {split!r}: none of the files is in {folder}: {named}.")
    table = pa.table({"id": list(rows), "path": [str(folder / file) for file in rows], "num_bytes": sizes})
    return pair_captions(
        dataset=dataset,
        revision=revision,
        split=split,
        modality=modality,
        media=table,
        reader=file_reader,
        captions=captions,
        excluded=absent.values(),
    )


def _lines_of_split(
    split: str,
    captions: Path,
    splits: Mapping[str, str] | None,
    fractions: Mapping[str, float] | None,
    file_column: str | None,
    caption_column: str | None,
) -> tuple[list[CaptionLine], str]:
    lines = read_captions(captions, file_column=file_column, caption_column=caption_column)
    revision = sha256_of_file(captions)[:12]
    if splits and fractions:
        raise DatasetError("splits (lists of files) and fractions (shares) were both given: give only one of them.")
    if splits:
        listed = read_list(Path(_known(split, splits, captions)))
        members = set(listed)
        captioned = {line.file for line in lines}
        # A listed file without caption must be listed as left out, so it passes with an empty one.
        lines = [line for line in lines if line.file in members]
        lines += [CaptionLine(file, "") for file in dict.fromkeys(listed) if file not in captioned]
        return lines, revision
    if fractions:
        _known(split, fractions, captions)
        return [line for line in lines if split_by_hash(line.file, fractions) == split], revision
    known = {line.split: line.split for line in lines if line.split} or {"all": "all"}
    _known(split, known, captions)
    return [line for line in lines if (line.split or "all") == split], revision


def _known(split: str, known: Mapping[str, str | float], captions: Path) -> str:
    if split not in known:
        raise DatasetError(
            f"{captions} has no split {split!r}; it has: {', '.join(known)}. Splits come from a column 'split', from "
            "dataset.options.splits (lists of files) or dataset.options.fractions, such as {train: 0.9, test: 0.1}."
        )
    return str(known[split])


def split_by_hash(name: str, fractions: Mapping[str, float]) -> str | None:
    """The split that a name falls into: the same on every machine, whatever else is in the folder.

    Args:
        name: file name.
        fractions: split -> share; shares may add up to less than 1, and the rest is in no split.
    """
    if min(fractions.values()) < 0 or sum(fractions.values()) > 1 + 1e-9:
        raise DatasetError(f"fractions must be positive and add up to at most 1, not {dict(fractions)}.")
    position = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64
    upper = 0.0
    for split, share in fractions.items():
        upper += share
        if position < upper:
            return split
    return None
