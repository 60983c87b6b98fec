"""What a latent set says of itself: `set.json`, read and looked over.

Place in the flow: set.json -> plain data that sets.py, verify.py and inspection.py rely on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusemix.errors import LatentStoreError
from fusemix.files import read_json

FORMAT = "fusemix.latent_set"


def read_description(path: Path) -> dict[str, Any]:
    """What a set's `set.json` says.

    Raises:
        LatentStoreError: it is no JSON, or describes no set.
    """
    found = read_ours(path)
    if _lacks_something(found):
        raise LatentStoreError(
            f"{path} is damaged: it lacks a count, a hash or a name. Cache the set again, elsewhere."
        )
    return found


def _lacks_something(found: Mapping[str, Any]) -> bool:
    sides = [side if isinstance(side, dict) else {} for side in (found["left"], found["right"])]
    counts = [found.get("num_links"), found.get("num_excluded"), *(side.get("num_items") for side in sides)]
    texts = [found.get(name) for name in ("dataset", "split", "links_sha256")]
    texts += [side.get(name) for side in sides for name in ("modality", "sha256")]
    return not (all(type(count) is int for count in counts) and all(isinstance(text, str) for text in texts))


def read_ours(path: Path) -> dict[str, Any]:
    """The same of a set that may be damaged, as long as it says that it is one."""
    try:
        found = read_json(path)
    except ValueError as error:
        raise LatentStoreError(f"{path} is damaged: it is no JSON ({error}). Cache the set again.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not {"left", "right"} <= found.keys():
        raise LatentStoreError(f"{path} describes no latent set: it was not written by fusemix, or is damaged.")
    return found
