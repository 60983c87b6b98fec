"""One split by several names: `val`, `valid` and `dev` mean validation.

Place in the flow: a split that is asked for + the names that are there -> the one that is meant.
"""

from collections.abc import Iterable
from pathlib import Path

from fusemix.errors import DatasetError

MEANINGS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Words that name a split, and which one they mean."""


def meaning_of(split: str) -> str:
    """What a split is, whatever it is called; a name of somebody's own is that."""
    return MEANINGS.get(split.lower(), split)


def meant(split: str, known: Iterable[str]) -> str | None:
    """The name among those known that a split is asked for by: its own, or the only other one of the same meaning.

    Args:
        split: that is asked for.
        known: names of the splits that there are.

    Returns:
        None where there is no such split, or two that could be meant.
    """
    names = list(dict.fromkeys(known))
    if split in names:
        return split
    alike = [name for name in names if meaning_of(name) == meaning_of(split)]
    return alike[0] if len(alike) == 1 else None


def require_known(dataset: str, split: str, known: Iterable[str]) -> str:
    """The split of a data set that is meant.

    Raises:
        DatasetError: it has none of that name.
    """
    names = list(known)
    name = meant(split, names)
    if name is None:
        raise DatasetError(f"{dataset} has no split {split!r}; it has: {', '.join(names)}.")
    return name


def folder_meant(folder: Path) -> Path:
    """A folder that is named by a split, as it is called where it lies: `latents/mine/validation` for `…/val`."""
    if folder.exists() or folder.name.lower() not in MEANINGS or not folder.parent.is_dir():
        return folder
    beside = meant(folder.name, (path.name for path in sorted(folder.parent.iterdir()) if path.is_dir()))
    return folder.parent / beside if beside else folder
