"""Say what made a latent set or store, and what is in it.

fusemix info FOLDER …

Reads manifests, item tables and a sample of latents; writes nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType

from fusemix.config import InfoConfig, load_config
from fusemix.latents.inspection import is_set, set_facts, store_facts
from fusemix.latents.tables import show_set, show_store
from fusemix.progress import console

WIDTH = 80
"""Columns that every terminal has."""


def main(argv: Sequence[str]) -> None:
    """Print tables of each folder."""
    for folder in load_config(InfoConfig, argv).folders:
        for part in _parts(Path(folder)):
            console.print(part, width=min(WIDTH, console.width), soft_wrap=False)


def _parts(folder: Path) -> Iterator[RenderableType]:
    if not is_set(folder):
        yield from show_store(store_facts(folder), with_items=True)
        return
    facts = set_facts(folder)
    yield from show_set(facts)
    for store in facts.stores:
        yield from show_store(store_facts(store), with_items=False)
