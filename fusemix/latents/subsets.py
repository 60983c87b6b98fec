"""A subset of a latent set: links of its own, and the items and latents of the set that it was chosen from.

Place in the flow: LatentSet + some of its links -> a folder of two files, which LatentSet opens like any other set.

Files of a subset:
    set.json        says in `items_of` where the items and stores lie, and in `selection` how the links were chosen
    links.parquet   rows of that other set
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusemix.disk.discarding import Owned
from fusemix.disk.files import write_json
from fusemix.errors import ConfigError, LatentStoreError
from fusemix.latents import links as link_file
from fusemix.latents.description import ITEMS_OF, SELECTION, SET, read_description
from fusemix.latents.links import LINKS, LinkTable
from fusemix.latents.sets import LatentSet

OF_ITEMS = ("format", "version", "dataset", "revision", "split", "left", "right", "source")
"""What a subset's `set.json` says as that of the set it was chosen from."""


def subset_description(
    chosen_from: LatentSet, table: LinkTable, selection: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """What `set.json` of a subset says.

    Args:
        chosen_from: the set, or a subset itself.
        table: links of the subset.
        selection: how these were chosen, as plain data.
        folder: where the subset is going to lie; where the items lie is said from there.
    """
    items = os.path.relpath(chosen_from.items_folder.resolve(), folder.resolve())
    return {
        **{key: chosen_from.description[key] for key in OF_ITEMS},
        **link_file.described_links(table),
        "num_excluded": 0,
        ITEMS_OF: items,
        SELECTION: dict(selection),
    }


def write_subset(place: Path, table: LinkTable, description: Mapping[str, Any]) -> None:
    """Write the two files, `set.json` last.

    Args:
        place: the folder.
        table: links.
        description: from `subset_description`.
    """
    place.mkdir(parents=True, exist_ok=True)
    link_file.write_links(place / LINKS, table)
    write_json(place / SET, description)


def is_subset(folder: Path) -> bool:
    """Whether a folder is a subset, and so holds links alone."""
    try:
        return (folder / SET).is_file() and ITEMS_OF in read_description(folder / SET)
    except LatentStoreError:
        return False


SUBSET = Owned("a subset of a latent set", is_subset, (SET, LINKS))
"""What overwriting may replace: never a set that holds latents itself."""


def require_other_folder(folder: Path, chosen_from: LatentSet) -> None:
    """Refuse to write a subset where its own items, or those of its kin, lie.

    Raises:
        ConfigError: `folder` is the set, lies in it, or holds it.
    """
    out = folder.resolve()
    for of in {chosen_from.folder.resolve(), chosen_from.items_folder.resolve()}:
        if out == of or out.is_relative_to(of) or of.is_relative_to(out):
            raise ConfigError(f"out is {folder}, where the set that is chosen from lies ({of}). Give another folder.")


def require_whole_set(folder: Path) -> None:
    """Refuse to fill a subset with latents, which belong to the set that its items are of.

    Raises:
        LatentStoreError: it is a subset.
    """
    if is_subset(folder):
        items = (folder / read_description(folder / SET)[ITEMS_OF]).resolve()
        raise LatentStoreError(f"{folder} is a subset, which holds links alone. Put the latents into {items}.")
