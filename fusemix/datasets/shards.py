"""Which tars of a folder hold a split: those of a folder of its name, or those whose names say it.

Place in the flow: a folder and a split -> tars, for webdataset.py; and what lies beside them and is not read.

Layouts: img2dataset writes 00000.tar, …, a folder a split. Copies on the hub keep all splits in one folder and say the
split in the name: cc3m-train-0000.tar, cc3m-validation-0000.tar (pixparse/cc3m-wds).
"""

import re
from collections.abc import Mapping, Sequence
from os import scandir
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.datasets.unsplit import WHOLE
from fusemix.disk.system_names import is_system_name
from fusemix.errors import DatasetError
from fusemix.interfaces import Rejected
from fusemix.remote.paths import Remote
from fusemix.split_names import MEANINGS, meaning_of, meant

COMPRESSED = re.compile(r"\.(tar\.\w+|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)
WORD = re.compile(r"[a-z]+")


class Shards(NamedTuple):
    """The tars of a split.

    Attributes:
        tars: name relative to the folder -> path, in order.
        passed_over: what lies beside them and cannot be read in place.
    """

    tars: dict[str, Path] | dict[str, Remote]
    passed_over: list[Rejected]


def find_shards(
    dataset: str,
    folder: Path | Remote,
    split: str,
    fractions: Mapping[str, float] | None,
    only: Sequence[str] | None = None,
) -> Shards:
    """Find the tars that hold a split; with fractions, all that lie in the folder itself.

    Args:
        dataset: for messages.
        folder: that is there.
        split: that is asked for.
        fractions: as the options give them.
        only: names of those in the folder itself that count; None counts all.

    Raises:
        DatasetError: there are none, or it cannot be known which ones.
    """
    place = folder if fractions or only else _folder_of_split(folder, split)
    paths: list[Any] = sorted(path for path in place.iterdir() if not is_system_name(path.name))
    if only:
        paths = _chosen(dataset, folder, paths, only)
    no_files = [path for path in paths if path.suffix.lower() == ".tar" and not path.is_file()]
    paths = [path for path in paths if path.is_file()]
    tars = {path.relative_to(folder).as_posix(): path for path in paths if path.suffix.lower() == ".tar"}
    if place == folder and tars:
        tars = _of_split(dataset, folder, tars, split, fractions)
    if place == folder and not fractions and split not in WHOLE and not tars:
        raise _no_split(dataset, folder, split)
    packed = [path.relative_to(folder).as_posix() for path in paths if COMPRESSED.search(path.name)]
    packed = [name for name in packed if place != folder or _wanted(name, split, fractions)]
    if not tars:
        hint = f" Unpack the compressed ones first, such as {packed[0]}: tars are read in place." if packed else ""
        raise DatasetError(f"{dataset}: there is no .tar in {place}.{hint}")
    reason = "no plain .tar, so it is not read in place: unpack it, or finish its download"
    passed_over = [Rejected(name, "dataset", reason) for name in packed]
    for path in no_files:
        passed_over.append(
            Rejected(path.relative_to(folder).as_posix(), "dataset", "no file, but a folder, a pipe or a lost link")
        )
    return Shards(tars, passed_over)


def _chosen(dataset: str, folder: Path | Remote, paths: Sequence[Any], only: Sequence[str]) -> list[Any]:
    there = {path.name: path for path in paths}
    if missing := [name for name in only if name not in there]:
        raise DatasetError(
            f"{dataset}: of the {len(only):,} tars that the pattern names, {len(missing):,} are not in {folder}, such "
            f"as {missing[0]}. Name those that are there, or give the folder alone."
        )
    return [there[name] for name in dict.fromkeys(only)]


def _folder_of_split(folder: Path | Remote, split: str) -> Path | Remote:
    """The folder within that is called as the split; else the folder itself."""
    if isinstance(folder, Remote):
        name = meant(split, sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
        return folder / name if name else folder
    with scandir(folder) as entries:
        name = meant(split, sorted(entry.name for entry in entries if entry.is_dir()))
    return folder / name if name else folder


def split_said(name: str) -> str | None:
    """The split that a tar's name says; None where it says none, or more than one."""
    said = {MEANINGS[word] for word in WORD.findall(name.lower()) if word in MEANINGS}
    return said.pop() if len(said) == 1 else None


def _wanted(name: str, split: str, fractions: Mapping[str, float] | None) -> bool:
    return bool(fractions) or split == "all" or split_said(name) in (None, meaning_of(split))


def _of_split(
    dataset: str, folder: Path | Remote, tars: dict[str, Any], split: str, fractions: Mapping[str, float] | None
) -> dict[str, Any]:
    """Of the tars in the folder itself those of the split."""
    said = {name: split_said(name) for name in tars}
    splits = sorted({found for found in said.values() if found})
    if not splits or (splits == ["train"] and fractions):
        if not fractions and split not in WHOLE:
            raise _no_split(dataset, folder, split)
        return tars
    if fractions:
        raise DatasetError(
            f"{dataset}: the names of the tars in {folder} say their splits already ({', '.join(splits)}), and "
            "fractions were given as well. Leave fractions out, or move the tars of each split into its own folder."
        )
    if split == "all":
        return tars
    unnamed = [name for name, found in said.items() if found is None]
    if unnamed:
        raise DatasetError(
            f"{dataset}: the names of some tars in {folder} say a split ({', '.join(splits)}), others such as "
            f"{unnamed[0]} do not. Move the tars of each split into a folder of its own, or ask for the split 'all'."
        )
    chosen = {name: path for name, path in tars.items() if said[name] == meaning_of(split)}
    if not chosen:
        raise DatasetError(
            f"{dataset} has no split {split!r}; by the names of the tars in {folder} it has: {', '.join(splits)}, all."
        )
    return chosen


def _no_split(dataset: str, folder: Path | Remote, split: str) -> DatasetError:
    return DatasetError(
        f"{dataset}: {folder} has no folder {split!r}. Tars of a split lie in a folder of its name, or say it in their "
        "names; other tars that lie in the folder itself are the split 'all' or 'train'."
    )
