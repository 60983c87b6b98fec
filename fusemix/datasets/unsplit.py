"""Splits of a data set that was published without any: all of it, or shares drawn by a hash of the name.

Place in the flow: split and `fractions` of the config -> which names belong to it.
"""

from collections.abc import Callable, Mapping

from fusemix.datasets.captioned_files import split_by_hash
from fusemix.errors import DatasetError
from fusemix.split_names import meant

WHOLE = ("all", "train")
"""What the whole data set may be called."""


def members(dataset: str, split: str, fractions: Mapping[str, float] | None) -> Callable[[str], bool]:
    """Whether a name belongs to a split, for every name.

    Args:
        dataset: for messages.
        split: without fractions `all` or `train`, which both hold everything; otherwise one of the fractions.
        fractions: split -> share; a name stays in its split when others are added.

    Raises:
        DatasetError: there is no such split, or the fractions are no shares.
    """
    known = tuple(fractions) if fractions else WHOLE
    name = meant(split, known)
    if name is None:
        raise DatasetError(
            f"{dataset} has no split {split!r}; it has: {', '.join(known)}. It was published without splits; others "
            "come from dataset.options.fractions, such as {train: 0.9, validation: 0.1}."
        )
    if not fractions:
        return lambda item: True
    split_by_hash("", fractions)  # refuses what is no share before anything is read
    return lambda item: split_by_hash(item, fractions) == name
