"""Read latent stores back and compare every shard with its hash.

fusemix verify FOLDER …      of latent sets or latent stores
"""

from collections.abc import Sequence
from pathlib import Path

from fusemix.errors import ConfigError, FusemixError, LatentStoreError
from fusemix.latents.description import SET
from fusemix.latents.manifest import MANIFEST, STARTED, read_manifest
from fusemix.latents.verify import Damage, damaged_notes, damaged_shards, damaged_tables, num_bytes, stores_of
from fusemix.progress import console, counting


def main(argv: Sequence[str]) -> None:
    """Verify sets and stores.

    Raises:
        LatentStoreError: something is damaged; the message names every file.
    """
    folders = [Path(argument) for argument in argv]
    if not folders:
        raise ConfigError("verify needs the folder of a latent set or of a latent store.")
    damaged = [damage for folder in folders for damage in _verify(folder)]
    if damaged:
        lines = "\n  ".join(str(damage) for damage in damaged)
        raise LatentStoreError(
            f"{len(damaged)} damaged:\n  {lines}\n"
            "Run cache_features.py with the config that made it and verify=true: it writes just these files anew."
        )


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
