"""What a latent set says of itself: `set.json`, read and looked over.

Place in the flow: set.json -> plain data that sets.py, verify.py and inspection.py rely on.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusemix.disk.discarding import Owned, says
from fusemix.disk.files import read_json
from fusemix.errors import LatentStoreError
from fusemix.latents.links import LINKS
from fusemix.latents.manifest import QUARANTINE
from fusemix.latents.records import STORE
from fusemix.parts.kinds import misfit

SET, SET_STARTED = "set.json", "set-started.json"
"""The second one stands until the first does, and says whose the folder is."""
FORMAT, VERSION = "fusemix.latent_set", 1
FIELDS = {
    "dataset": str,
    "revision": str,
    "split": str,
    "num_links": int,
    "links_sha256": str,
    "num_excluded": int,
    "source": dict[str, Any],
}
SIDE = {"modality": str, "num_items": int, "sha256": str}
ITEMS_OF, SELECTION = "items_of", "selection"
"""Of a subset alone: the folder of its items and latents, seen from its own, and how its links were chosen."""
LATER = {"quarantine_sha256": str, "num_captions": int, "times_sha256": str, ITEMS_OF: str, SELECTION: dict[str, Any]}
"""What older sets do not have, what stands only where a caption is there twice, and what is said of a subset."""


def is_set(folder: Path) -> bool:
    """Whether a folder says that it is a latent set, and what lies in it, that it is a latent store."""
    stores = (path for path in folder.glob("*/*") if path.is_dir() and any(path.iterdir()))
    return any(says(folder / name, FORMAT, VERSION) for name in (SET, SET_STARTED)) and all(
        map(STORE.is_sealed, stores)
    )


LATENT_SET = Owned(
    "a latent set",
    is_set,
    (SET, SET_STARTED, "items-*.parquet", LINKS, QUARANTINE, *(f"*/*/{name}" for name in STORE.names)),
)


def read_description(path: Path) -> dict[str, Any]:
    """What a set's `set.json` says.

    Raises:
        LatentStoreError: it is no JSON, or describes no set.
    """
    found = read_ours(path)
    if problem := description_problem(found):
        raise LatentStoreError(f"{path} is damaged: {problem}. Cache the set again, elsewhere.")
    return found


def read_ours(path: Path) -> dict[str, Any]:
    """The same of a set that may be damaged, as long as it says that it is one."""
    try:
        found = read_json(path)
    except ValueError as error:
        raise LatentStoreError(f"{path} is damaged: it is no JSON ({error}). Cache the set again.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not {"left", "right"} <= found.keys():
        raise LatentStoreError(f"{path} describes no latent set: it was not written by fusemix, or is damaged.")
    return found


def items_folder(folder: Path, description: Mapping[str, Any]) -> Path:
    """Where the items and stores of a set lie: in its own folder, or, of a subset, in that of another set.

    Raises:
        LatentStoreError: that other set is not there, or has other items by now.
    """
    if ITEMS_OF not in description:
        return folder
    found = Path(os.path.normpath(folder.resolve() / description[ITEMS_OF]))
    if not (found / SET).is_file():
        raise LatentStoreError(
            f"{folder} is a subset of {found}, which is not there. Bring it back, or choose the subset again."
        )
    there = read_description(found / SET)
    if ITEMS_OF in there or any(there[which] != description[which] for which in ("left", "right")):
        raise LatentStoreError(f"{folder} is a subset of {found}, which holds other items by now. Choose it again.")
    return found


def description_problem(about: Mapping[str, Any]) -> str | None:
    """What is wrong with the description of a set, or None."""
    problem = _problem("", about, FIELDS) or _problem("", about, {k: v for k, v in LATER.items() if k in about})
    for which in ("left", "right"):
        problem = problem or _problem(f"{which}.", about[which], SIDE)
    if not problem and any("/" in about[which]["modality"] for which in ("left", "right")):
        problem = "a modality is no word"
    return problem


def _problem(prefix: str, about: Any, kinds: Mapping[str, Any]) -> str | None:
    if not isinstance(about, Mapping):
        return f"{prefix.rstrip('.')!r} is no mapping"
    for key, kind in kinds.items():
        if key not in about:
            return f"it has no '{prefix}{key}'"
        if wanted := misfit(about[key], kind):
            return f"'{prefix}{key}' is {about[key]!r}, but must be {wanted}"
    return None
