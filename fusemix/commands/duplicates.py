"""List the near duplicates of an index.

    fusemix duplicates FOLDER [--threshold 0.95] [--json]

Compares vectors alone: no model is asked, and no file is opened.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.table import Column
from rich.text import Text

from fusemix.config import DuplicatesConfig
from fusemix.progress import console, counting
from fusemix.search.duplicates import duplicate_groups
from fusemix.search.folder import Index
from fusemix.tables import BARE, terminal_table
from fusemix.visible import shown, visible_json

AT_ONCE = 10_000
"""Items that are read together."""
MOST_SHOWN = 10
"""Items of a group in the table; JSON has all."""


def main(config: DuplicatesConfig) -> list[list[str]]:
    """Find groups and print them; returns the ids of each."""
    index = Index(config.folders[0])
    with counting("items compared", index.num_items) as advance:
        groups = duplicate_groups(index, config.threshold, advance)
    found = _ids(index, groups)
    if config.json:
        sys.stdout.write(
            visible_json(json.dumps(_answer(found, config.threshold), ensure_ascii=False, indent=2)) + "\n"
        )
        return found
    if found:
        rows = [[str(len(ids)), _listed(ids)] for ids in found]
        heads = [Column("size", justify="right", no_wrap=True), Column("items", overflow="fold")]
        console.print(terminal_table(f"near duplicates (cosine from {config.threshold:g})", heads, rows, frame=BARE))
    spare = sum(map(len, found)) - len(found)
    console.print(
        f"{len(found):,} groups among {index.num_items:,} items; without {spare:,} of them each would be once"
    )
    return found


def _ids(index: Index, groups: Sequence[Sequence[int]]) -> list[list[str]]:
    """Ids of groups, largest first, without what was removed since they were found."""
    positions = [position for group in groups for position in group]
    some = [positions[at : at + AT_ONCE] for at in range(0, len(positions), AT_ONCE)]
    ids = {position: item["id"] for each in some for position, item in index.items_there(each).items()}
    there = [[ids[position] for position in group if position in ids] for group in groups]
    return sorted((group for group in there if len(group) > 1), key=len, reverse=True)


def _answer(found: Sequence[Sequence[str]], threshold: float) -> dict[str, Any]:
    return {"threshold": threshold, "groups": [{"size": len(ids), "ids": ids} for ids in found]}


def _listed(ids: Sequence[str]) -> Text:
    more = [] if len(ids) <= MOST_SHOWN else [f"… {len(ids) - MOST_SHOWN:,} more"]
    return Text("\n").join([Text(line) for line in [*map(shown, ids[:MOST_SHOWN]), *more]])
