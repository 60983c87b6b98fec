"""Settings as Python gives them: an object, files, keywords -> the settings of a command.

Place in the flow: arguments of a function of the API -> a frozen dataclass. Values stay values: a path with odd
characters, the text "no" and the number 1e-5 are never written out and parsed. Not here: what a yaml file and a word of
the command line mean (cli/loading.py).
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from fusemix.cli.loading import checked, file_of, makes, told_by_file
from fusemix.cli.parts import PARTS
from fusemix.config.recipes import no_recipe
from fusemix.config.shapes import is_part
from fusemix.config.typed import Tree, Word, merged
from fusemix.errors import ConfigError

Config = TypeVar("Config")
Given = Any
"""A settings object, a mapping of settings, the path of a yaml file, or the name of a recipe."""


def settings_of(schema: type[Config], given: Sequence[Given], keywords: Mapping[str, Any], caller: str) -> Config:
    """The settings of a command; later ones win, and keywords win over all.

    Args:
        schema: dataclass of the settings.
        given: what says them.
        keywords: by their names; `optim.lr` is that setting inside `optim`.
        caller: name of the function, for messages.

    Raises:
        ConfigError: a file is missing, a setting is unknown, missing, or of another type or range.
    """
    return makes(schema, tree_of(schema, given, keywords, caller), PARTS, caller)()


def tree_of(schema: type, given: Sequence[Given], keywords: Mapping[str, Any], caller: str) -> dict[str, Any]:
    """All that was said, as a tree; see `settings_of`."""
    told: Any = {}
    for one in given:
        told = merged(told, _told(schema, one, caller))
    return merged(told, checked(schema, _nested(keywords), caller))


def _told(schema: type, given: Given, caller: str) -> Tree:
    if isinstance(given, str | os.PathLike):
        if path := file_of(schema, given):
            return told_by_file(schema, path)
        raise ConfigError(f"{caller}: {no_recipe(str(given), schema)} Settings are given as keywords, name=value.")
    if isinstance(given, Mapping):
        return checked(schema, _nested(given), caller)
    if type(given) is schema:
        said: Any = _beside_recipe(given) if getattr(given, "recipe", None) else dataclasses.asdict(given)  # pyright: ignore[reportArgumentType]
        return checked(schema, _value(said, caller), caller)
    raise ConfigError(
        f"{caller} takes a {schema.__name__}, paths of yaml files, and keywords; not a {type(given).__name__}."
    )


def _beside_recipe(given: Any) -> dict[str, Any]:
    """What an object says over the recipe that it names: all that is not at its default."""
    said = {}
    for field in dataclasses.fields(given):
        value, made = getattr(given, field.name), field.default_factory
        if value != (field.default if made is dataclasses.MISSING else made()):
            said[field.name] = _said_of(value)
    return said


def _said_of(value: Any) -> Any:
    if is_part(type(value)):
        return value if value.options else value.name  # a name alone leaves nothing of the recipe's options
    return _beside_recipe(value) if dataclasses.is_dataclass(value) else value


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": value}` as {a: {b: value}}; only names of settings hold dots so, and no keys further inside."""
    tree: dict[str, Any] = {}
    for name, value in settings.items():
        one = _value(value, str(name))
        for part in reversed(str(name).split(".")):
            one = {part: one}
        tree = merged(tree, one)
    return tree


def _value(value: Any, name: str) -> Any:
    """A value as a tree: texts and paths are words that stand as they are.

    Raises:
        ConfigError: it is nothing that settings hold.
    """
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str | os.PathLike):
        return Word(os.fspath(value), is_quoted=True)
    if isinstance(value, np.generic):
        return _value(value.item(), name)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _value(dataclasses.asdict(value), name)
    if isinstance(value, Mapping):
        return {str(key): _value(one, f"{name}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(one, f"{name}[{place}]") for place, one in enumerate(value)]
    raise ConfigError(
        f"{name} is a {type(value).__name__}, and settings are texts, paths, numbers, True, False, None, and lists and "
        "mappings of these."
    )
