"""What was typed and is no setting, or of another kind than its setting: each by its full name.

Place in the flow: plain data and the types of its settings -> sentences.
"""

from collections.abc import Iterator
from typing import Any

from fusemix.config.shapes import is_part
from fusemix.config.typed import inner_kind, kinds_of_fields
from fusemix.parts.kinds import LISTS, MAPPINGS, inside, misfit, settings_of


def misfits(value: Any, kind: Any, name: str = "") -> Iterator[str]:
    """Sentences about all values that are of another kind than is wanted; unknown settings are nobody's.

    Args:
        value: plain data.
        kind: a type, as annotations give it.
        name: full name of the setting; empty for all of them.
    """
    settings = settings_of(kind)
    if isinstance(value, dict) and settings is not None:
        kinds = kinds_of_fields(settings)
        for key in value.keys() & kinds.keys():
            yield from misfits(value[key], kinds[key], f"{name}.{key}" if name else key)
    elif isinstance(value, dict) and inside(kind, MAPPINGS):
        for key, one in value.items():
            yield from misfits(one, inner_kind(kind, MAPPINGS), f"{name}.{key}")
    elif isinstance(value, list) and settings_of(inner_kind(kind, LISTS)) is not None:
        for place, one in enumerate(value):
            yield from misfits(one, inner_kind(kind, LISTS), f"{name}[{place}]")
    elif wanted := misfit(value, kind):
        wanted = "the name of a part, or {name: NAME, options: {…}}" if is_part(settings) else wanted
        yield f"{name} is {_shown(value)}, but must be {wanted}."


def unknown(value: Any, kind: Any, name: str = "") -> Iterator[str]:
    """Full names of settings that there are not; see `misfits`."""
    settings = settings_of(kind)
    if isinstance(value, dict) and settings is not None:
        kinds = kinds_of_fields(settings)
        for key, one in value.items():
            full = f"{name}.{key}" if name else key
            yield from unknown(one, kinds[key], full) if key in kinds else (full,)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from unknown(one, inner_kind(kind, MAPPINGS), f"{name}.{key}")
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from unknown(one, inner_kind(kind, LISTS), f"{name}[{place}]")


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)
