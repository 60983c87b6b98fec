"""Say what a folder of fusemix's is, what made it, and what is in it.

fusemix info FOLDER …

Of latent sets and stores, folders of sets, runs, indexes, exported models, reports and comparisons. Reads what they say
of themselves, and of latents a sample; writes nothing.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from fusemix.config import InfoConfig
from fusemix.errors import FusemixError, LatentStoreError
from fusemix.latents.description import SET
from fusemix.latents.inspection import is_store, others_below, require_folder, set_facts, sets_below, store_facts
from fusemix.latents.tables import in_a_line, show_set, show_store
from fusemix.progress import console
from fusemix.split_names import folder_meant
from fusemix.tables import pairs

WIDTH = 80
"""Columns that every terminal has."""


def main(config: InfoConfig) -> None:
    """Print tables of each folder."""
    for folder in config.folders:
        for part in _parts(Path(folder)):
            console.print(part, width=min(WIDTH, console.width), soft_wrap=False)


def _parts(folder: Path) -> Iterator[RenderableType]:
    folder = folder_meant(folder)
    if (folder / SET).is_file() or is_store(folder):
        yield from _of_latents(folder)
        return
    from fusemix.wiring.folder_facts import KNOWN_BY, OURS, facts_of  # latents are told of without torch

    if facts := facts_of(folder):
        yield pairs(f"{facts.kind} {folder}", facts.rows)
        yield from (Text(note, style="yellow") for note in facts.notes)
    elif sets := sets_below(folder):
        yield from _of_sets(folder, sets)
    else:
        require_folder(folder)
        raise LatentStoreError(f"{folder} is none of fusemix's: it has no {KNOWN_BY}. Known are {OURS}.")


def _of_latents(folder: Path) -> Iterator[RenderableType]:
    if not (folder / SET).is_file():
        yield from show_store(store_facts(folder), with_items=True)
        return
    facts = set_facts(folder)
    yield from show_set(facts)
    for store in facts.stores:
        yield from show_store(store_facts(store), with_items=False)


def _of_sets(folder: Path, sets: Sequence[Path]) -> Iterator[RenderableType]:
    """A line a set; what a set is, its own folder says."""
    rows = []
    for path in sets:
        try:
            rows.append((path.name, in_a_line(set_facts(path))))
        except FusemixError as error:
            rows.append((path.name, str(error)))
    yield pairs(f"folder of {len(sets):,} latent sets {folder}", rows)
    others = others_below(folder, sets)
    if others:
        yield Text(f"no latent sets, and passed over: {', '.join(others)}", style="yellow")
    yield Text(f"more of one: fusemix info {shlex.quote(str(sets[0]))}")
