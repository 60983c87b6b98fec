"""Folders whose subfolders are classes; and what makes any labelled data set a pair set.

Place in the flow: files on disk -> PairSet of media and prompts. `esc50` and `imagenet` are this with known counts.
Not here: how prompts are made (prompts.py), or which class an item is nearest to (fusemix/retrieval/zero_shot.py).

A labelled data set is a pair set whose right side is prompts, one for each class and template, and whose links say
which class an item belongs to. So encoders run over it as over any other, and one can train on it, too. All classes of
the data set have prompts, also those of which a split holds nothing: they remain wrong answers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from os import scandir
from pathlib import Path

import numpy as np

from fusemix.datasets.caption_files import CaptionLine
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.endings import NOUNS, endings
from fusemix.datasets.pairs import TextReader, counted_links
from fusemix.datasets.prompts import chosen_templates, prompt_table, require_different_words, words_of_classes
from fusemix.datasets.unsplit import members
from fusemix.disk.files import sha256_of_json
from fusemix.disk.regular import NOT_REGULAR
from fusemix.disk.system_names import is_system_name
from fusemix.errors import DatasetError
from fusemix.interfaces import Items, PairSet, Rejected
from fusemix.parts.kinds import Location
from fusemix.split_names import meant


def image_classes(
    *,
    split: str,
    folder: Location,
    templates: list[str] | str | None = None,
    class_names: dict[str, str] | Location | None = None,
    fractions: dict[str, float] | None = None,
) -> PairSet:
    """A folder of pictures in one subfolder a class: `<folder>/<class>/<file>` or `<folder>/<split>/<class>/<file>`.

    Args:
        split: a subfolder that holds the classes; else one of `fractions`; else `all` or `train`, which is everything.
        folder: where the subfolders lie.
        templates: with `{}` for the name of a class, by default "a photo of a {}."; or `openai`, CLIP's 80.
        class_names: subfolder -> words, or a file of them (.json, or `n01440764 tench, Tinca tinca` a line).
        fractions: split -> share of the pictures, drawn by a hash of their names.

    Raises:
        DatasetError: the folder, the split or a template is not there, or no picture is.
    """
    return _folder_of_classes("image_classes", "image", split, Path(folder), templates, class_names, fractions)


def audio_classes(
    *,
    split: str,
    folder: Location,
    templates: list[str] | str | None = None,
    class_names: dict[str, str] | Location | None = None,
    fractions: dict[str, float] | None = None,
) -> PairSet:
    """A folder of sounds in one subfolder a class; as `image_classes`, with "This is a sound of {}."."""
    return _folder_of_classes("audio_classes", "audio", split, Path(folder), templates, class_names, fractions)


def _folder_of_classes(
    dataset: str,
    modality: str,
    split: str,
    folder: Path,
    templates: Sequence[str] | str | None,
    class_names: Mapping[str, str] | str | None,
    fractions: Mapping[str, float] | None,
) -> PairSet:
    chosen, belongs = _of_split(dataset, folder, split, fractions)
    classes = subfolders(dataset, chosen)
    words = words_of_classes(dataset, classes, class_names)
    require_different_words(dataset, words)
    return pair_folders(
        dataset, modality, split, folder, chosen, words, chosen_templates(dataset, modality, templates), belongs
    )


def _of_split(
    dataset: str, folder: Path, split: str, fractions: Mapping[str, float] | None
) -> tuple[Path, Callable[[str], bool]]:
    """The folder that holds the classes of a split, and which names of its files belong to it."""
    splits = [name for name in subfolders(dataset, folder) if _holds_folders(folder / name)]
    if splits and fractions:
        raise DatasetError(
            f"{dataset}: {folder} holds folders of classes already ({', '.join(splits[:5])}), and fractions were given "
            "as well. Leave fractions out, or give one of these folders as dataset.options.folder."
        )
    if not splits:
        return folder, members(dataset, split, fractions)
    name = meant(split, splits)
    if name is None:
        raise DatasetError(f"{dataset} has no split {split!r}; {folder} holds: {', '.join(splits[:10])}.")
    return folder / name, lambda file: True


def _holds_folders(folder: Path) -> bool:
    with scandir(folder) as entries:
        return any(entry.is_dir() and not is_system_name(entry.name) for entry in entries)


def subfolders(dataset: str, folder: Path) -> list[str]:
    """Names of the folders in a folder, in order, without hidden ones and those of the system.

    Raises:
        DatasetError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{dataset}: there is no folder {folder}.")
    names = sorted(entry.name for entry in scandir(folder) if entry.is_dir() and not is_system_name(entry.name))
    if not names:
        raise DatasetError(f"{dataset}: {folder} has no subfolders, and each class must have one.")
    return names


def pair_folders(
    dataset: str,
    modality: str,
    split: str,
    folder: Path,
    chosen: Path,
    words: Mapping[str, str],
    templates: Sequence[str],
    belongs: Callable[[str], bool] = lambda name: True,
) -> PairSet:
    """Pair the files in the subfolders of a folder with the prompts of their classes.

    Args:
        dataset: short name, for messages and reports.
        modality: of the files.
        split: the split that is read.
        folder: what ids are relative to.
        chosen: this folder, or one within it; its subfolders are the classes.
        words: class -> its name in words.
        templates: each with a hole for the name.
        belongs: whether a file of this id is of the split.

    Raises:
        DatasetError: there is no such file.
    """
    lines, names, others = _files_of_classes(modality, folder, chosen, words, belongs)
    if not lines:
        raise DatasetError(
            f"{dataset}, split {split!r}: of the {len(names):,} files in the {len(words):,} subfolders of {chosen}, "
            f"none is a {NOUNS[modality]} by its ending, such as {' or '.join(endings(modality)[:2])}, or none is of "
            "this split."
        )
    pairs = pair_classes(dataset, modality, split, folder, lines, sha256_of_json(names)[:12], words, templates)
    return replace(pairs, excluded=(*pairs.excluded, *others))


def _files_of_classes(
    modality: str, folder: Path, chosen: Path, words: Iterable[str], belongs: Callable[[str], bool]
) -> tuple[list[CaptionLine], list[str], list[Rejected]]:
    """File and class of everything that is of the split; the names of all files; and what is left out."""
    lines, names, others = [], [], []
    for label in words:
        place, num_media = (chosen / label).relative_to(folder).as_posix(), 0
        with scandir(chosen / label) as entries:
            within = sorted((entry.name, entry.is_file(), entry.is_dir()) for entry in entries)
        for name, is_file, is_folder in within:
            file = f"{place}/{name}"
            names += [file] if is_file else []
            is_media = is_file and Path(name).suffix.lower() in endings(modality) and not is_system_name(name)
            num_media += is_media
            if is_system_name(name) or not belongs(file):
                continue
            if is_media:
                lines.append(CaptionLine(file, label))
            elif is_file:
                others.append(Rejected(file, "dataset", f"no {NOUNS[modality]} by its ending"))
            elif is_folder:
                others.append(Rejected(f"{file}/", "dataset", "a folder within a class, which is not looked into"))
            else:
                others.append(Rejected(file, "dataset", f"{NOT_REGULAR}, or a lost link"))
        if not num_media:
            others.append(Rejected(f"{place}/", "dataset", "a class without a file; its prompts stay wrong answers"))
    with scandir(chosen) as entries:
        beside = sorted(entry.name for entry in entries if entry.is_file() and not is_system_name(entry.name))
    for file in ((chosen / name).relative_to(folder).as_posix() for name in beside):
        if Path(file).suffix.lower() in endings(modality):
            others.append(Rejected(file, "dataset", "lies beside the folders of the classes, in none of them"))
    return lines, names, others


def pair_classes(
    dataset: str,
    modality: str,
    split: str,
    folder: Path,
    lines: Iterable[CaptionLine],
    revision: str,
    words: Mapping[str, str],
    templates: Sequence[str],
) -> PairSet:
    """Pair files with the prompts of their classes; absent files are listed in `excluded`.

    Args:
        dataset: short name, for messages and reports.
        modality: of the files.
        split: the split that is read.
        folder: what the names of the files are relative to.
        lines: file and class, in the data set's order; a class is a key of `words`.
        revision: which copy of the data this is.
        words: class -> its name in words; every class gets its prompts, also one that has no file.
        templates: each with a hole for the name.

    Raises:
        DatasetError: the folder is missing, or holds none of the files.
    """
    pairs = pair_files(dataset, modality, split, folder, lines, revision)
    place = {label.strip(): number for number, label in enumerate(words)}
    found = np.array([place[label] for label in pairs.right.table["caption"].to_pylist()])
    first = found[pairs.links[:, 1]] * len(templates)
    prompts = prompt_table(words, templates)
    links, _ = counted_links(
        np.repeat(pairs.links[:, 0], len(templates)), (first[:, None] + np.arange(len(templates))).ravel()
    )
    return replace(pairs, right=Items("text", prompts, TextReader(prompts["caption"])), links=links, times=None)


def require_published(pairs: PairSet, expected: tuple[int, int], *, num_classes: int) -> PairSet:
    """Compare a published split with its known size, and hand it back.

    Args:
        pairs: what was loaded.
        expected: published numbers of media and of classes.
        num_classes: classes of this copy.

    Raises:
        DatasetError: they differ.
    """
    found = (len(pairs.left), num_classes)
    if found == expected:
        return pairs
    missing = f"{len(pairs.excluded):,} files were left out, such as {pairs.excluded[0]}. " if pairs.excluded else ""
    raise DatasetError(
        f"{pairs.dataset}, split {pairs.split!r}: published with {expected[0]:,} {pairs.left.modality} items of "
        f"{expected[1]:,} classes, but this copy gives {found[0]:,} of {found[1]:,}. Figures measured on it cannot be "
        f"compared. {missing}Complete the copy, or set dataset.options.check_counts=false if this is meant."
    )
