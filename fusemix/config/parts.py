"""Parts that settings name: their options are read, and checked, by the types that their factories state.

Place in the flow: a tree of words, and plain data out of it -> the options once more, or a message. Nothing of
fusemix's own is imported for it.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from fusemix.config.shapes import SHORT, is_part, shaped
from fusemix.config.typed import bare, fields_of, inner_kind, kinds_of_fields, plain
from fusemix.errors import ConfigError
from fusemix.parts.kinds import LISTS, MAPPINGS, settings_of
from fusemix.parts.registry import Registry


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """A part by its short name, or a user's own as `module:factory`, with its options."""

    name: str = field(metadata=SHORT)
    """Short name, or module:factory."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of its factory; unknown ones are refused."""


class Named(NamedTuple):
    """A part that settings name.

    Attributes:
        where: full name of its setting.
        tree: what was typed of it.
        made: the same as plain data.
        name: of the part; None where none is given.
    """

    where: str
    tree: dict[str, Any]
    made: dict[str, Any]
    name: Any


def read_options(tree: Any, made: dict[str, Any], schema: Any, parts: Mapping[str, Registry]) -> None:
    """Read the options of all parts by the types that their factories state, in place, and check them.

    Args:
        tree: all settings, as they were typed.
        made: the same as plain data.
        schema: dataclass of the settings.
        parts: setting -> registry of the parts that it names.

    Raises:
        ConfigError: there is no such part, or it does not take these options.
    """
    kinds = kinds_of_fields(schema)
    for key in [key for key in made if key in parts and key in kinds]:
        default = getattr(_default(schema, key), "name", None)
        for part in _parts(tree[key], made[key], kinds[key], key, default):
            _read(part, parts[key])


def _default(schema: Any, key: str) -> Any:
    factory = next(field.default_factory for field in dataclasses.fields(schema) if field.name == key)
    return None if factory is dataclasses.MISSING else factory()


def _parts(tree: Any, made: Any, kind: Any, where: str, default: str | None = None) -> Iterator[Named]:
    tree = bare(tree)
    if isinstance(tree, list) and isinstance(made, list):
        for place, (one, read) in enumerate(zip(tree, made, strict=True)):
            yield from _parts(one, read, inner_kind(kind, LISTS), f"{where}[{place}]")
    elif isinstance(tree, dict) and is_part(settings_of(kind)):
        yield Named(where, tree, made, made.get("name", default))
    elif isinstance(tree, dict):
        for key, one in tree.items():
            yield from _parts(one, made[key], inner_kind(kind, MAPPINGS), f"{where}.{key}")


def _read(part: Named, registry: Registry) -> None:
    if not isinstance(part.name, str):
        return  # whoever wants one says so
    options = bare(part.tree.get("options"))
    try:
        kinds = registry.kinds(part.name)
    except ConfigError as error:
        raise ConfigError(f"{part.where}: {error}") from error
    if isinstance(options, dict):
        read = {key: (value, kinds.get(key, Any)) for key, value in options.items()}
        part.made["options"] = {key: plain(shaped(value, kind), kind) for key, (value, kind) in read.items()}
    registry.check(part.name, part.made.get("options") or {}, part.where)


def to_plain(config: object) -> dict[str, Any]:
    """A config as nested dicts, lists and numbers, which yaml, JSON and checkpoints can hold."""
    plain_fields = dataclasses.asdict(cast(Any, config))
    return {field.name: plain_fields[field.name] for field in fields_of(type(config))}
