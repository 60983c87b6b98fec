"""What belongs together between items of two latent sets: by a table that people wrote, or by a column of both.

Place in the flow: a CSV of judgements, or a column + latent sets -> JudgedSet, which is measured as any other set.

The table has two columns, headed by modalities. A cell is the id of an item, or words: they name every item that has
them among its own words or among those of what it is linked with in its set (captions of a picture, prompts of a
class), whole words, whatever their case. What the cells of a row name belongs together.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64
from pyarrow import csv

from fusemix.disk.files import sha256_of_json
from fusemix.errors import ConfigError, first_line
from fusemix.latents.item_tables import LABELS
from fusemix.latents.links import LinkTable
from fusemix.latents.sets import LatentSet, Side
from fusemix.parts.registry import nearest

Owner = tuple[LatentSet, int]
"""A set, and whether its left (0) or right (1) side is meant."""
NO_LETTER = r"[^\pL\pN]"
"""As RE2 has it; an underscore parts words, too."""


class Judgements(NamedTuple):
    """A table of judgements.

    Attributes:
        path: where it is.
        modalities: heads of its columns.
        rows: cells.
    """

    path: Path
    modalities: tuple[str, str]
    rows: list[tuple[str, str]]


def read_judgements(path: Path) -> Judgements:
    """Read a table.

    Raises:
        ConfigError: it is none, or has other than two columns.
    """
    try:
        names = csv.open_csv(path).schema.names
        texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        table = csv.read_csv(path, convert_options=texts)
        columns = [[cell.strip() for cell in column.to_pylist()] for column in table.columns]
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"judgements: {path} cannot be read as a CSV: {first_line(error)}") from error
    if len(columns) != 2:
        raise ConfigError(
            f"judgements: {path} has the columns {', '.join(table.column_names)}. It must have two, headed by the "
            "modalities of what belongs together, as in: audio,image"
        )
    rows = [(one, other) for one, other in zip(*columns, strict=True) if one and other]
    one, other = (name.strip() for name in table.column_names)
    return Judgements(path, (one, other), rows)


def side_of(sets: Mapping[str, LatentSet], modality: str, path: Path) -> tuple[LatentSet, int]:
    """The set that has a modality, and whether on its left (0) or right (1).

    Args:
        sets: by name.
        modality: head of a column.
        path: of the table, for messages.

    Raises:
        ConfigError: none has it, or more than one.
    """
    found = [
        (name, each, place) for name, each in sets.items() for place in (0, 1) if each.sides[place].modality == modality
    ]
    if not found:
        known = sorted({side.modality for each in sets.values() for side in each.sides})
        raise ConfigError(
            f"judgements: {path} judges {modality} items, and the sets hold {', '.join(known)}."
            f"{nearest(modality, known)}"
        )
    if len(found) > 1:
        raise ConfigError(
            f"judgements: {path} judges {modality} items, and {' and '.join(name for name, _, _ in found)} both hold "
            "some. Judge items of a modality that one set alone has."
        )
    return found[0][1], found[0][2]


class JudgedSet(LatentSet):
    """One side of each of two latent sets, linked by judgements.

    Args:
        judged_by: file of the judgements, or a column, for messages.
        owners: of the left and of the right the set, and whether its left (0) or right (1) side is meant.
        links: (left row, right row) of what belongs together.

    Raises:
        ConfigError: none of them has latents on both sides.
    """

    def __init__(self, judged_by: Path, owners: Sequence[Owner], links: Int64[np.ndarray, "links 2"]) -> None:
        self.folder = judged_by
        self.left, self.right = (each.sides[place] for each, place in owners)
        usable = self.left.valid[links[:, 0]] & self.right.valid[links[:, 1]]
        if not usable.any():
            named = " and ".join(f"{each.sides[place].modality} items of {each.name}" for each, place in owners)
            raise ConfigError(f"judgements: nothing in {judged_by} joins {named}, so there is nothing to ask.")
        self._links, self._name = links[usable], " × ".join(each.name for each, _ in owners)
        self.description = _described(owners, links)

    @property
    def name(self) -> str:
        """Data sets and splits, for people."""
        return self._name

    @cached_property
    def link_table(self) -> LinkTable:
        """Links by judgements, between items that have latents."""
        return LinkTable(self._links)


def _described(owners: Sequence[Owner], links: Int64[np.ndarray, "links 2"]) -> dict[str, Any]:
    abouts = [each.description for each, _ in owners]
    sides = [about[("left", "right")[place]] for about, (_, place) in zip(abouts, owners, strict=True)]
    together = {key: " × ".join(about[key] for about in abouts) for key in ("dataset", "split", "revision")}
    return {
        **together,
        "left": sides[0],
        "right": sides[1],
        "num_links": len(links),
        "links_sha256": sha256_of_json(links.tolist()),
        "num_excluded": sum(about["num_excluded"] for about in abouts),
    }


def judged(judgements: Judgements, sets: Mapping[str, LatentSet]) -> JudgedSet:
    """What a table judges between two of some sets.

    Args:
        judgements: the table.
        sets: by name, opened.

    Raises:
        ConfigError: a modality is in none of the sets, or in several; or the table names no two items.
    """
    owners = [side_of(sets, modality, judgements.path) for modality in judgements.modalities]
    one, other = (_Named(*owner) for owner in owners)
    made = [np.stack(np.meshgrid(one.rows(a), other.rows(b), indexing="ij"), -1) for a, b in judgements.rows]
    pairs = [pairs.reshape(-1, 2) for pairs in made]
    links = np.unique(np.concatenate([np.empty((0, 2), np.int64), *pairs]), axis=0)
    return JudgedSet(judgements.path, owners, links)


def of_one_value(column: str, sets: Mapping[str, LatentSet]) -> list[JudgedSet]:
    """What has one value in a column of the item tables, for all sides of different sets and modalities that have it.

    Args:
        column: its name, such as `class`.
        sets: by name, opened.

    Raises:
        ConfigError: fewer than two sides have it, or no two items have one value.
    """
    sides = [(each, place) for each in sets.values() for place in (0, 1)]
    having = [(each, place) for each, place in sides if column in each.sides[place].table.column_names]
    ways = [
        (one, other)
        for one, other in combinations(having, 2)
        if one[0] is not other[0] and one[0].sides[one[1]].modality != other[0].sides[other[1]].modality
    ]
    if not ways:
        known = sorted({name for each, place in sides for name in each.sides[place].table.column_names} - {"id"})
        raise ConfigError(
            f"same_column={column}: no two modalities of different sets have that column. Columns: {', '.join(known)}."
            f"{nearest(column, known)}"
        )
    return [JudgedSet(Path(column), pair, _equal(*pair, column)) for pair in ways]


def _equal(one: Owner, other: Owner, column: str) -> Int64[np.ndarray, "links 2"]:
    """(row, row) of items with one value, in order."""
    tables = [
        pa.table({"value": each.sides[place].table[column], name: np.arange(len(each.sides[place]))})
        for name, (each, place) in (("left", one), ("right", other))
    ]
    joined = (
        tables[0].join(tables[1], "value", join_type="inner").sort_by([("left", "ascending"), ("right", "ascending")])
    )
    return np.column_stack([joined[name].to_numpy() for name in ("left", "right")])


class _Named:
    """Which items of a side cells name."""

    def __init__(self, latent_set: LatentSet, place: int) -> None:
        side, other = latent_set.sides[place], latent_set.sides[1 - place]
        self._ids = {item: row for row, item in enumerate(side.table["id"].to_pylist())}
        links = latent_set.links
        rows, texts = [np.arange(len(side)), links[:, place]], [_labels(side), _labels(other).take(links[:, 1 - place])]
        self._rows, self._texts = np.concatenate(rows), pa.concat_arrays(texts)
        self.rows = cache(self._found)

    def _found(self, cell: str) -> Int64[np.ndarray, " rows"]:
        if cell in self._ids:
            return np.array([self._ids[cell]])
        has_words = pc.call_function("match_substring_regex", [self._texts], pc.MatchSubstringOptions(pattern_of(cell)))
        return np.unique(self._rows[np.asarray(has_words)])


def _labels(side: Side) -> pa.Array:
    """What items of a side say, empty where they say nothing."""
    name = next((name for name in LABELS if name in side.table.column_names), None)
    if name is None:
        return pa.array([""] * len(side), pa.large_string())
    return side.table[name].combine_chunks().cast(pa.large_string()).fill_null("")


def pattern_of(words: str) -> str:
    """A regular expression, as RE2 takes it, of texts that hold words whole and in this order, whatever their case.

    Args:
        words: at least one letter or digit; else nothing holds them.
    """
    parts = [re.escape(part) for part in re.findall(r"[^\W_]+", words)]
    if not parts:
        return r"[^\s\S]"
    return f"(?i)(^|{NO_LETTER}){f'{NO_LETTER}+'.join(parts)}($|{NO_LETTER})"
