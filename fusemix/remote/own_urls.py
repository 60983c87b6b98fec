"""Which URLs users have named themselves: data may name these, and no others.

Place in the flow: a user's settings name a URL -> remembered here -> paths.py opens it when a latent set or an index
of theirs names it again, to show its pictures.
For this user of this machine. Losing the list costs a word in a command's settings.
"""

from contextlib import suppress
from typing import Any

from fusemix.disk.files import read_json, write_json
from fusemix.errors import FusemixError
from fusemix.parts.own_code import user_cache

FORMAT, VERSION = "fusemix.own_urls", 1


def remember(url: str) -> None:
    """Note that the user's own settings have named a URL, which holds no secrets."""
    known = _known()
    if _is_below(url, known):
        return
    path = user_cache() / "own_urls.json"
    with suppress(OSError):  # then it is to be named again
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(path, {"format": FORMAT, "version": VERSION, "known": sorted([*known, url])})


def is_known(url: str) -> bool:
    """Whether the user's own settings have named a URL, or a folder that it lies in."""
    return _is_below(url, _known())


def _is_below(url: str, known: list[str]) -> bool:
    return any(url == one or url.startswith(f"{one}/") for one in known)


def _known() -> list[str]:
    try:
        about: Any = read_json(user_cache() / "own_urls.json")
        if (about["format"], about["version"]) != (FORMAT, VERSION):
            return []
        return [str(url) for url in about["known"]]
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, FusemixError):
        return []
