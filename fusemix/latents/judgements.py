"""What belongs together between items of two latent sets, by a table that people wrote.

Place in the flow: a CSV of judgements + two latent sets -> JudgedSet, which is measured as any other set.

The table has two columns, headed by modalities. A cell is the id of an item, or words: they name every item that has
them among its own words or among those of what it is linked with in its set (captions of a picture, prompts of a
class), whole words, whatever their case. What the cells of a row name belongs together.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
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
        judgements: what belongs together.
        sets: name -> latent set, opened.

    Raises:
        ConfigError: a modality is in none of the sets, or in several; or a table names no two items.
    """

    def __init__(self, judgements: Judgements, sets: Mapping[str, LatentSet]) -> None:
        owners = [side_of(sets, modality, judgements.path) for modality in judgements.modalities]
        self.folder = judgements.path
        self.left, self.right = (each.sides[place] for each, place in owners)
        links = judged_links(judgements, owners)
        usable = self.left.valid[links[:, 0]] & self.right.valid[links[:, 1]]
        if not usable.any():
            named = " and ".join(f"{each.sides[place].modality} items of {each.name}" for each, place in owners)
            raise ConfigError(
                f"judgements: no row of {judgements.path} names both {named}, so there is nothing to ask."
            )
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


def _described(owners: Sequence[tuple[LatentSet, int]], links: Int64[np.ndarray, "links 2"]) -> dict[str, Any]:
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


def judged_links(judgements: Judgements, owners: Sequence[tuple[LatentSet, int]]) -> Int64[np.ndarray, "links 2"]:
    """(left row, right row) of what belongs together, each pair once, in order.

    Args:
        judgements: what belongs together.
        owners: of both columns the set, and whether its left (0) or right (1) side is meant.
    """
    one, other = (_Named(*owner) for owner in owners)
    made = [np.stack(np.meshgrid(one.rows(a), other.rows(b), indexing="ij"), -1) for a, b in judgements.rows]
    pairs = [pairs.reshape(-1, 2) for pairs in made]
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *pairs]), axis=0)


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
