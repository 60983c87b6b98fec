"""Names of settings, and those that were meant instead.

Place in the flow: a dataclass of settings -> the full names of all -> the nearest to what was typed.
"""

import difflib
from collections.abc import Iterator
from typing import Any

from fusemix.config.typed import kinds_of_fields
from fusemix.parts.kinds import MAPPINGS, inside, settings_of

NAME = "NAME"
"""Stands for a name of the user's own."""


def full_names(schema: Any, prefix: str = "") -> Iterator[str]:
    """All settings of a dataclass, those inside others by their full names: `optim.lr`, `also.NAME.train`."""
    for name, kind in kinds_of_fields(schema).items():
        inner = settings_of(kind)
        of_each = next(filter(None, map(settings_of, inside(kind, MAPPINGS))), None)
        if inner is None:
            yield prefix + name
        if inner is not None or of_each is not None:
            yield from full_names(inner or of_each, f"{prefix}{name}.{'' if inner else f'{NAME}.'}")


def meant(name: str, schema: Any) -> list[str]:
    """Full names of settings that somebody may have meant, best first.

    Args:
        name: as it was typed, perhaps without what stands before a dot: `lr`, `epochs`, `batch-size`.
        schema: dataclass of the settings.
    """
    typed = name.replace("-", "_").lower()
    leaves = {full: full.rpartition(".")[2] for full in full_names(schema)}
    words = set(typed.rpartition(".")[2].split("_"))
    for likely in (
        [full for full, leaf in leaves.items() if leaf == typed],
        difflib.get_close_matches(typed, list(leaves), n=1, cutoff=0.8),
        [full for full, leaf in leaves.items() if words <= set(leaf.split("_"))],
        difflib.get_close_matches(typed, list(leaves), n=1),
        [full for full, leaf in leaves.items() if leaf in difflib.get_close_matches(typed, leaves.values(), n=1)],
    ):
        if likely:
            return likely[:3]
    return []


def hint(name: str, schema: Any) -> str:
    """A sentence that names what may have been meant, or nothing; see `meant`."""
    found = meant(name, schema)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""
