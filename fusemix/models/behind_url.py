"""Exported models behind URLs: fetched once into the user's cache.

Place in the flow: s3://bucket/model -> a folder of this machine -> Trained.
Not here: the hub (hub.py).

Files:
    ~/.cache/fusemix/models/<what config.json says>/<name>   the folder; may be deleted at any time
"""

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path

from fusemix.disk.temporary import remove_leftovers, temporary
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.folder import CONFIG, FORMAT, INSIDE, WEIGHTS, is_export
from fusemix.parts.own_code import user_cache
from fusemix.remote.fetched import fetch_files
from fusemix.remote.paths import Remote

MOST_BYTES = 64 << 20
"""Of a config.json; no export has nearly as many."""


def fetched_model(model: Remote) -> Path:
    """A folder of the user's cache with an exported model; what is there already is not fetched again.

    Args:
        model: the folder behind a URL.

    Raises:
        RunError: it is no exported model.
        RemoteError: it cannot be fetched.
    """
    config = _config_of(model)
    top = user_cache() / "models"
    key = hashlib.sha256(f"{model}\0".encode() + config).hexdigest()[:16]
    goal = top / key / model.name
    if is_export(goal):
        return goal
    (top / key).mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_leftovers(top / key, depth=0)
    part = temporary(goal)
    needed = {name: status for name, status in model.below().items() if _is_needed(name)}
    try:
        fetch_files(model, needed, part)
        with suppress(OSError):  # another process has fetched it meanwhile
            part.rename(goal)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return goal


def _config_of(model: Remote) -> bytes:
    """Its config.json, looked at before gigabytes of something else are fetched."""
    config = model / CONFIG
    try:
        content = config.read_bytes() if config.stat().st_size <= MOST_BYTES else b""
    except FileNotFoundError as error:
        raise RunError(
            f"{model} is no exported model: there is no {CONFIG}. Runs are read on this machine alone; export one to "
            f"the URL: fusemix export model=RUN out={model}"
        ) from error
    with suppress(ValueError, RecursionError):
        about = json.loads(content)
        if isinstance(about, dict) and about.get("format") == FORMAT:
            return content
    raise RunError(f"{model} is no model that fusemix exported: its {CONFIG} does not say so.")


def _is_needed(name: str) -> bool:
    return name in (CONFIG, WEIGHTS, HUBS) or name.startswith(f"{INSIDE}/")
