"""What items are about, as numbers: columns of item tables, or words of the texts that belong to them.

Place in the flow: item tables and links of a latent set, pairs -> Labels -> the diagnosis of two encoders.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fusemix.errors import ConfigError
from fusemix.interfaces import OWN
from fusemix.latents.item_tables import LABELS, NOT_IDENTITY
from fusemix.latents.sets import LatentSet, Side
from fusemix.parts.registry import nearest

MOST = 100
"""Words, or values of a column."""
RAREST, COMMONEST = 0.01, 0.2
"""Shares of the texts that a word is in: what more have says little, such as "a" and "in"."""
WORD = re.compile(r"[^\W\d_]+")
APART = ";"
"""Between several values in one text."""


class Labels(NamedTuple):
    """Numbers of each pair.

    Attributes:
        values: one column a label; of categories and words 0 or 1.
        names: of the labels, as far as they have some.
        about: one sentence on where they are from.
    """

    values: Float64[np.ndarray, "pairs labels"]
    names: list[str]
    about: str


def labels_of(latent_set: LatentSet, pairs: Int64[np.ndarray, "pairs 2"], column: str | None) -> Labels | str:
    """Labels of some pairs, or why there are none.

    Args:
        latent_set: that they are of.
        pairs: (left row, right row).
        column: of an item table, or what a caption file says in a column of that name; None takes words of texts.

    Raises:
        ConfigError: neither side has that column, or all items have the same in it.
    """
    if column is not None:
        return _of_column(latent_set, pairs, column)
    place = next((place for place, side in enumerate(latent_set.sides) if side.modality == "text"), None)
    if place is None:
        return "neither side is text, and labels names no column"
    name = next((name for name in LABELS if name in latent_set.sides[place].table.column_names), None)
    if name is None:
        return f"the texts have no column {' or '.join(LABELS)}, and labels names no other"
    return _of_words(latent_set, pairs, place, name)


# Words


def _of_words(latent_set: LatentSet, pairs: Int64[np.ndarray, "pairs 2"], place: int, name: str) -> Labels | str:
    """Words of the other texts of the same item; of its own text where it has no other."""
    texts = latent_set.sides[place].table[name]
    others = latent_set.links[np.isin(latent_set.links[:, 1 - place], pairs[:, 1 - place])]
    rows = np.unique(np.concatenate([others[:, place], pairs[:, place]]))
    words = {
        row: frozenset(WORD.findall((text or "").lower()))
        for row, text in zip(rows.tolist(), texts.take(rows).to_pylist(), strict=True)
    }
    counts = Counter(word for of_text in words.values() for word in of_text)
    usual = [word for word, count in counts.most_common() if RAREST <= count / len(words) <= COMMONEST][:MOST]
    if len(usual) < 2:
        return f"hardly a word is in {RAREST:.0%} to {COMMONEST:.0%} of the texts, and labels names no column"
    of_item: dict[int, list[int]] = {}
    for link in others.tolist():
        of_item.setdefault(link[1 - place], []).append(link[place])
    values, num_alone = np.zeros((len(pairs), len(usual))), 0
    for number, pair in enumerate(pairs.tolist()):
        further = [row for row in of_item[pair[1 - place]] if row != pair[place]]
        num_alone += not further
        said = frozenset().union(*(words[row] for row in further or [pair[place]]))
        values[number] = [word in said for word in usual]
    whose = "its own text" if num_alone == len(pairs) else "the other texts of its item"
    alone = f" ({num_alone:,} have no other: their own)" if 0 < num_alone < len(pairs) else ""
    return Labels(values, usual, f"which of {len(usual)} usual words are in {whose}{alone}")


# Columns


def _of_column(latent_set: LatentSet, pairs: Int64[np.ndarray, "pairs 2"], column: str) -> Labels:
    for place, side in enumerate(latent_set.sides):
        if column in _columns(side):
            values = _column(side, column, pairs[:, place])
            about = f"{column} of its {side.modality} item"
            return _of_numbers(values, column, about) if _are_numbers(values) else _of_values(values, column, about)
    known = sorted({name for side in latent_set.sides for name in _columns(side)})
    raise ConfigError(
        f"labels={column}: neither side of {latent_set.folder} has that column. Columns: "
        f"{', '.join(known) or 'none'}.{nearest(column, known)}"
    )


def _columns(side: Side) -> list[str]:
    names = [name for name in side.table.column_names if name not in {"id", *NOT_IDENTITY}]
    if OWN not in side.table.column_names:
        return names
    return [*names, *dict.fromkeys(key for own in _owns(side.table[OWN].to_pylist()) for key in own)]


def _column(side: Side, column: str, rows: Int64[np.ndarray, " pairs"]) -> list[Any]:
    if column in side.table.column_names:
        return side.table[column].take(rows).to_pylist()
    return [own.get(column) for own in _owns(side.table[OWN].take(rows).to_pylist())]


def _owns(texts: Sequence[str | None]) -> Iterator[Mapping[str, Any]]:
    for text in texts:
        own = json.loads(text) if text else {}
        yield own if isinstance(own, dict) else {}


def _are_numbers(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)


def _of_numbers(values: Sequence[Any], column: str, about: str) -> Labels:
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    is_known = np.isfinite(numbers)
    if not is_known.any() or np.ptp(numbers[is_known]) == 0:
        raise ConfigError(f"labels={column}: all items have the same there, or nothing. Name another column.")
    middle = numbers[is_known].mean()
    return Labels(np.where(is_known, numbers - middle, 0)[:, None], [column], about)


def _of_values(values: Sequence[Any], column: str, about: str) -> Labels:
    sets = [_several(value) for value in values]
    counts = Counter(value for several in sets for value in several)
    usual = [value for value, count in counts.most_common(MOST) if 1 < count < len(sets)]
    if not usual:
        raise ConfigError(
            f"labels={column}: no two items that are looked at have one value there, or all have the same. Name "
            "another column."
        )
    table = np.array([[value in several for value in usual] for several in sets], dtype=np.float64)
    return Labels(table, usual, f"{about}, {len(usual)} values")


def _several(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    parts = value if isinstance(value, list | tuple) else str(value).split(APART)
    return frozenset(str(part).strip() for part in parts) - {""}
