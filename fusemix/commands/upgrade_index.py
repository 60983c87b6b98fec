"""Take over indexes of earlier versions, without embedding anything again.

    fusemix upgrade-index FOLDER …

Reads the segments of an index; writes the same items as today's version keeps them, in their place.
"""

import shutil
from pathlib import Path

from fusemix.config import UpgradeConfig
from fusemix.disk.discarding import beside, discard, require_ours, take_place
from fusemix.disk.locks import one_writer
from fusemix.errors import IndexFolderError
from fusemix.progress import console, counting
from fusemix.search.description import INDEX, QUARANTINE, read_description
from fusemix.search.earlier import earlier_description, earlier_items, num_items
from fusemix.search.writer import IndexWriter
from fusemix.wiring.searching.index_model import trained_of
from fusemix.wiring.searching.index_plan import OWNED
from fusemix.wiring.searching.spaces import bank_queries


def main(config: UpgradeConfig) -> None:
    """Take over each folder."""
    for folder in map(Path, config.folders):
        with one_writer(folder, doing="upgrade_index"):
            _upgrade(folder)


def _upgrade(folder: Path) -> None:
    description = earlier_description(folder)
    if description is None:
        if read_description(folder) is None:
            raise IndexFolderError(f"{folder} has no {INDEX}, so it is no index.")
        console.print(f"{folder} is of this version already")
        return
    require_ours(folder, OWNED)
    place = beside(folder)
    discard(place, OWNED)
    writer = IndexWriter(place, description)
    with counting("items taken over", num_items(folder)) as advance:
        for vectors, items in earlier_items(folder, description.width):
            writer.add(vectors, items)
            advance(len(items))
    writer.finish(lambda: bank_queries(trained_of(description, folder), description))
    if (folder / QUARANTINE).is_file():
        shutil.copy(folder / QUARANTINE, place)
    take_place(place, folder, OWNED)
    console.print(f"{folder}: taken over; its model was not asked")
