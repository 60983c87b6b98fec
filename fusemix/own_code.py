"""Which code users have named themselves: what ran at their own word needs no question when their runs name it again.

Place in the flow: a part that a user's settings name is imported -> remembered here -> trust.py asks no more for it.
Files are known by their place, for this user of this machine. A package that is installed is known by name: what else
lies in it, nobody has asked for. Losing the list costs a question.
"""

import json
import os
import sys
import sysconfig
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from fusemix.temporary import temporary

FORMAT, VERSION = "fusemix.own_code", 1
INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


def user_cache() -> Path:
    """Where fusemix keeps what it can make again: `fusemix/` in XDG_CACHE_HOME or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fusemix"


def remember(name: str) -> None:
    """Note that the user's own settings have named `module:callable`, and that it was imported."""
    key = _key(name)
    known = _known()
    if key is None or key in known:
        return
    path = user_cache() / "own_code.json"
    with suppress(OSError):  # then it is asked for
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = temporary(path)
        part.write_text(json.dumps({"format": FORMAT, "version": VERSION, "known": sorted({*known, key})}))
        part.replace(path)


def is_known(name: str) -> bool:
    """Whether `module:callable` is code that the user's own settings have named before. Nothing is run to find out."""
    key = _key(name)
    return key is not None and key in _known()


def _known() -> set[str]:
    try:
        about: Any = json.loads((user_cache() / "own_code.json").read_text(encoding="utf-8"))
        if (about["format"], about["version"]) != (FORMAT, VERSION):
            return set()
        return {str(key) for key in about["known"]}
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return set()


def _key(name: str) -> str | None:
    """The file behind a name; with the name itself where that is installed; None where there is none."""
    module, _, attribute = name.partition(":")
    if not attribute or not all(part.isidentifier() for part in module.split(".")):
        return None
    path = _file_of(module)
    if path is None:
        return None
    folders = [os.path.realpath(sysconfig.get_paths()[kind]) for kind in INSTALLED]
    is_installed = any(path.startswith(folder + os.sep) for folder in folders)
    return f"{path} {name}" if is_installed else path


def _file_of(module: str) -> str | None:
    """Where a module would be imported from, without importing the packages that it lies in."""
    where: Any = [*sys.path, ""]
    parts = module.split(".")
    spec = None
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), where)
        if spec is None:
            return None
        where = spec.submodule_search_locations or []
    origin = spec.origin if spec else None
    return os.path.realpath(origin) if origin and spec and spec.has_location else None
