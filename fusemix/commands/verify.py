"""Read latent stores and indexes back and compare every file with its hash.

fusemix verify FOLDER …      of latent sets, folders of them, latent stores, indexes, exported models or runs
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fusemix.config import VerifyConfig
from fusemix.errors import FusemixError, IndexFolderError, LatentStoreError, UntrustedCodeError
from fusemix.fusion.checkpoints import CHECKPOINTS, read_checkpoint
from fusemix.fusion.runs import HUBS, is_run
from fusemix.latents.description import SET, items_folder
from fusemix.latents.description import read_description as read_set
from fusemix.latents.inspection import others_below, require_folder, sets_below
from fusemix.latents.manifest import MANIFEST, STARTED, read_manifest
from fusemix.latents.subsets import is_subset
from fusemix.latents.verify import Damage, damaged_notes, damaged_shards, damaged_tables, num_bytes, stores_of
from fusemix.models.folder import CONFIG, is_export
from fusemix.models.trained import open_trained
from fusemix.progress import console, counting
from fusemix.search.description import INDEX, read_description
from fusemix.search.folder import Index
from fusemix.search.seals import problems_of
from fusemix.split_names import folder_meant

LATENTS = "Run cache_features.py with the config that made it and verify=true: it writes just these files again."
A_MODEL = "Train or export again, or bring these files back from a copy."
KNOWN_BY = f"{SET}, {MANIFEST}, {INDEX}, {CONFIG} or {CHECKPOINTS}/"
AN_INDEX = "Make the index again (fusemix index … --overwrite), or bring these files back from a copy."
"""How damage is fixed."""


def main(config: VerifyConfig) -> None:
    """Verify sets, stores, indexes, exported models and runs.

    Raises:
        LatentStoreError, IndexFolderError: something is damaged; the message names every file.
    """
    folders = [Path(folder) for folder in config.folders]
    latents: list[Damage] = []
    indexes: list[Damage] = []
    models: list[Damage] = []
    for folder in map(folder_meant, folders):
        if (folder / SET).is_file() or (folder / MANIFEST).is_file():
            latents += _verify(folder)
        elif read_description(folder) is not None:
            indexes += _verify_index(folder)
        elif is_export(folder) or is_run(folder):
            models += _verify_model(folder)
        elif sets := sets_below(folder):
            for one in sets:
                latents += _verify(one)
            if others := others_below(folder, sets):
                console.print(f"{folder}: no latent sets, and not looked at: {', '.join(others)}", style="yellow")
        else:
            require_folder(folder)
            raise LatentStoreError(f"{folder} holds nothing that verify knows: it has no {KNOWN_BY}.")
    if latents or indexes or models:
        told = [*_told(latents, LATENTS), *_told(indexes, AN_INDEX), *_told(models, A_MODEL)]
        latents += models
        kind = LatentStoreError if latents else IndexFolderError
        raise kind("\n".join([f"{len(latents) + len(indexes)} damaged:", *told]))


def _verify_model(folder: Path) -> list[Damage]:
    """An exported model by the hash of its weights; a run, which keeps no hashes, by whether it can be read."""
    if is_export(folder):
        found = _unusable(folder / CONFIG, lambda: open_trained(folder))
        state = "1 of 1 damaged" if found else "weights are as they were written"
    else:
        files = sorted((folder / CHECKPOINTS).glob("*.ckpt"))
        found = [damage for path in files for damage in _unusable(path, partial(read_checkpoint, path))]
        also = ""
        if (folder / HUBS).is_file() and not found:
            found, also = _unusable(folder / HUBS, lambda: open_trained(folder)), f" and {HUBS}"
        state = f"{len(files)} checkpoints{also} can be read; a run keeps no hashes, so more cannot be said"
        state = f"{len(found)} of {len(files) + bool(also)} damaged" if found else state
    console.print(f"{folder}: {state}")
    return found


def _unusable(path: Path, read: Callable[[], object]) -> list[Damage]:
    try:
        read()
    except UntrustedCodeError as error:
        console.print(f"{path}: not looked at: {error}", style="yellow")
    except FusemixError as error:
        return [Damage(path, f"cannot be used: {error}")]
    return []


def _told(found: Sequence[Damage], fixed_by: str) -> list[str]:
    return [*(f"  {one}" for one in found), fixed_by] if found else []


def _verify_index(folder: Path) -> list[Damage]:
    problems, sealed, without = problems_of(folder)
    found = [Damage(path, problem) for path, problem in problems.items()]
    state = f"{len(found)} of {sealed} files damaged" if found else f"{sealed} files are as they were sealed"
    console.print(f"{folder / INDEX} and what it names: {state}")
    if without and not found:
        for _ in Index(folder).columns(["vector"]):
            pass
        console.print(
            f"{folder}: {without} files were written by a command that did not end, and have no hashes: they can be "
            "read, and more cannot be said. The next fusemix index on the folder seals them.",
            style="yellow",
        )
    return found


def _of_a_subset(folder: Path) -> list[Damage]:
    try:
        items = items_folder(folder, read_set(folder / SET))
    except LatentStoreError as error:
        return [Damage(folder / SET, f"leads nowhere: {error}")]
    console.print(f"{folder}: a subset; its items and latents lie in {items}: verify that, too", style="yellow")
    return []


def _verify(folder: Path) -> list[Damage]:
    found = []
    if (folder / SET).is_file():
        found += damaged_tables(folder)
        console.print(f"{folder}: tables {'are damaged' if found else 'are as they were sealed'}")
    if is_subset(folder):
        return found + _of_a_subset(folder)
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
