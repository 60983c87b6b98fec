"""Which code users have named themselves: what ran at their own word needs no question when their runs name it again.

Place in the flow: a part that a user's settings name is imported -> remembered here -> trust.py asks no more for it.
For this user of this machine: the very names, and what else the same file of theirs defines. Of what it only imports,
and of packages that are installed, nothing is known but the names. Losing the list costs a question.
"""

import ast
import os
import sys
import sysconfig
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from fusemix.disk.files import read_json, write_json
from fusemix.errors import FusemixError

FORMAT, VERSION = "fusemix.own_code", 1
INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


def user_cache() -> Path:
    """Where fusemix keeps what it can make again: `fusemix/` in XDG_CACHE_HOME or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fusemix"


def remember(name: str) -> None:
    """Note that the user's own settings have named `module:callable`, and that it was imported."""
    place, known = _place(name), _known()
    if place is None or [*place] in known:
        return
    path = user_cache() / "own_code.json"
    with suppress(OSError):  # then it is asked for
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(path, {"format": FORMAT, "version": VERSION, "known": sorted([*known, [*place]])})


def is_known(name: str) -> bool:
    """Whether `module:callable` is code that the user's own settings have named before. Nothing is run to find out."""
    place = _place(name)
    if place is None:
        return False
    file, attribute = place
    names = [known for path, known in _known() if path == file]
    return attribute in names or (bool(names) and not _is_installed(file) and attribute in _defined_in(file))


def _known() -> list[list[str]]:
    """Pairs of a file and a name in it."""
    try:
        about: Any = read_json(user_cache() / "own_code.json")
        if (about["format"], about["version"]) != (FORMAT, VERSION):
            return []
        return [[str(file), str(name)] for file, name in about["known"]]
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, FusemixError):
        return []


def _place(name: str) -> tuple[str, str] | None:
    """The file behind a name, and what is named in it; None where there is none."""
    module, _, attribute = name.partition(":")
    if not attribute or not all(part.isidentifier() for part in module.split(".")):
        return None
    file = _file_of(module)
    return (file, attribute) if file else None


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


def _is_installed(file: str) -> bool:
    folders = (os.path.realpath(sysconfig.get_paths()[kind]) for kind in INSTALLED)
    return any(file.startswith(folder + os.sep) for folder in folders)


def _defined_in(file: str) -> set[str]:
    """Functions and classes that a file defines itself."""
    try:
        body = ast.parse(Path(file).read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    return {one.name for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
