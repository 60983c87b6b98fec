"""Read latent stores and indexes back and compare every file with its hash.

fusemix verify FOLDER …      of latent sets, latent stores or indexes
"""

from collections.abc import Sequence
from pathlib import Path

from fusemix.config import VerifyConfig, load_config
from fusemix.errors import FusemixError, IndexFolderError, LatentStoreError
from fusemix.latents.description import SET
from fusemix.latents.manifest import MANIFEST, STARTED, read_manifest
from fusemix.latents.verify import Damage, damaged_notes, damaged_shards, damaged_tables, num_bytes, stores_of
from fusemix.progress import console, counting
from fusemix.search.description import INDEX, Description, problems_of, read_description
from fusemix.search.folder import Index

LATENTS = "Run cache_features.py with the config that made it and verify=true: it writes just these files anew."
AN_INDEX = "Make the index anew (fusemix index … --overwrite), or bring these files back from a copy."
"""How damage is mended."""


def main(argv: Sequence[str]) -> None:
    """Verify sets, stores and indexes.

    Raises:
        LatentStoreError, IndexFolderError: something is damaged; the message names every file.
    """
    folders = [Path(folder) for folder in load_config(VerifyConfig, argv).folders]
    latents: list[Damage] = []
    indexes: list[Damage] = []
    for folder in folders:
        description = None if (folder / SET).is_file() else read_description(folder)
        if description is None:
            latents += _verify(folder)
        else:
            indexes += _verify_index(folder, description)
    if latents or indexes:
        told = [*_told(latents, LATENTS), *_told(indexes, AN_INDEX)]
        kind = LatentStoreError if latents else IndexFolderError
        raise kind("\n".join([f"{len(latents) + len(indexes)} damaged:", *told]))


def _told(found: Sequence[Damage], mended_by: str) -> list[str]:
    return [*(f"  {one}" for one in found), mended_by] if found else []


def _verify_index(folder: Path, description: Description) -> list[Damage]:
    found = [Damage(path, problem) for path, problem in problems_of(folder, description).items()]
    without = sum(not segment.files for segment in description.segments)
    files = 1 + sum(len(segment.suffixes) for segment in description.segments)
    state = f"{len(found)} of {files} files damaged" if found else f"{files} files are as they were sealed"
    console.print(f"{folder / INDEX} and what it names: {state}")
    if without and not found:
        for number, segment in enumerate(description.segments):
            if not segment.files:
                Index(folder).segment_content(number)
        console.print(
            f"{folder}: {without} of {len(description.segments)} segments were written by an earlier version, which "
            "kept no hashes: their files can be read, and more cannot be said",
            style="yellow",
        )
    return found


def _verify(folder: Path) -> list[Damage]:
    found = []
    if (folder / SET).is_file():
        found += damaged_tables(folder)
        console.print(f"{folder}: tables {'are damaged' if found else 'are as they were sealed'}")
    for unfinished in sorted(path.parent for path in folder.glob(f"*/*/{STARTED}")):
        console.print(f"{unfinished}: not finished, so there is nothing to compare it with", style="yellow")
    for store in stores_of(folder):
        try:
            manifest = read_manifest(store)
        except FusemixError as error:
            found.append(Damage(store / MANIFEST, f"cannot be read: {error}"))
            continue
        with counting(f"reading {store.name}", num_bytes(store)) as advance:
            damaged = damaged_shards(store, manifest, read_back=True, advance=advance)
        beside = damaged_notes(store, manifest)
        count = len(manifest.shards)
        state = f"{len(damaged)} of {count} shards damaged" if damaged else f"{count} shards are as they were sealed"
        state += f", {len(beside)} files beside them are damaged" if beside else ""
        console.print(f"{store}: {state}")
        found += damaged + beside
    return found
