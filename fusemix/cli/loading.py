"""Read settings: yaml files and key=value -> a frozen dataclass, or a message.

Place in the flow: defaults < yaml files, left to right < key=value < --key value. Errors of OmegaConf and yaml end
here.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fusemix.cli.options import split_options
from fusemix.config.misfits import misfits, unknown
from fusemix.config.names import hint, renamed
from fusemix.config.parts import read_options
from fusemix.config.recipes import AUTO, FEW, no_recipe, recipes_of
from fusemix.config.shapes import shaped
from fusemix.config.typed import Tree, Word, kind_at, kinds_of_fields, merged, plain, tree_of_value, tree_of_yaml
from fusemix.errors import ConfigError, first_line
from fusemix.parts.kinds import members, settings_of
from fusemix.parts.registry import Registry

Config = TypeVar("Config")


def load_config(
    schema: type[Config],
    arguments: Sequence[str],
    parts: Mapping[str, Registry] | None = None,
) -> Config:
    """Merge yaml files, `key=value` and options over a schema's defaults.

    Args:
        schema: one of the dataclasses of this package.
        arguments: yaml files or names of recipes, `key=value` and `--key value`, in any order; later files win over
            earlier ones, `key=value` wins over files, and options over all. Where a setting takes bare words, there are
            no files.
        parts: setting -> registry of the parts that it names; their options are read and checked as their
            factories state.

    Raises:
        ConfigError: a file is missing or not yaml, a key is unknown, a value has the wrong type.
    """
    return makes(schema, told_by_words(schema, arguments), parts or {}, " ".join(arguments) or schema.__name__)()


def told_by_words(schema: type, arguments: Sequence[str]) -> Tree:
    """All that arguments say, as one tree; as for `load_config`."""
    if arguments and not dataclasses.fields(cast(Any, schema)):
        raise ConfigError(f"this command takes no settings, but was given: {' '.join(arguments)}")
    settings, said = split_options(schema, arguments)
    told: Tree = {}
    for argument in sorted(settings, key=lambda argument: "=" in argument):  # stable: files first
        told = merged(told, _told(schema, argument))
    return merged(told, shaped(said, schema, is_whole=False))


def makes(schema: type[Config], told: Tree, parts: Mapping[str, Registry], where: str) -> Callable[..., Config]:
    """What makes the settings out of all that was said, over the recipe that is named there, or over another one.

    Args:
        schema, told, parts, where: as for `config_of`.

    Returns:
        A function of a recipe's name, or None for the one that was named, and of settings that win over the recipe and
        over nothing else.
    """

    def made(recipe: str | None = None, below: Mapping[str, Any] | None = None) -> Config:
        named = merged(told, {"recipe": Word(recipe, is_quoted=True)}) if recipe else told
        return config_of(schema, merged(_of_recipe(schema, named), merged(dict(below or {}), named)), parts, where)

    return made


def _of_recipe(schema: type, told: Any) -> Tree:
    """What the recipe says that settings name; where they leave it to the data, one of those that may be chosen.

    Raises:
        ConfigError: there is no such recipe.
    """
    kind = kinds_of_fields(schema).get("recipe")
    name = plain(told.get("recipe"), kind) if kind else None
    if name is None:
        return {}
    if name == AUTO:  # so that options are checked for the parts that they will be of; the closed form may be left out
        return merged(told_by_file(schema, recipes_of(schema)[FEW]), {"closed_form": {"share": 0.0}})
    if not (path := file_of(schema, name)):
        raise ConfigError(f"recipe={name}: {no_recipe(name, schema, AUTO)}")
    return told_by_file(schema, path)


def config_of(schema: type[Config], told: Tree, parts: Mapping[str, Registry], where: str) -> Config:
    """Settings out of all that was said of them, over a schema's defaults.

    Args:
        schema, parts: as for `load_config`.
        told: what was said.
        where: it was, for messages.

    Raises:
        ConfigError: a value is missing, or has the wrong type or range.
    """
    told = shaped(told, schema)
    values = plain(told, schema)
    _require_kinds("", values, schema)
    read_options(told, values, schema, parts)
    try:
        config = OmegaConf.merge(_defaults(schema), values)
        made = cast(Config, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        raise ConfigError(_explain(where, error)) from error
    _require_texts(made)
    return made


@functools.cache
def _defaults(schema: type) -> Any:
    """Of settings; whoever merges over them gets a copy."""
    return OmegaConf.structured(schema)


def files_among(schema: type, arguments: Iterable[Any], config: Any) -> set[Path]:
    """Files of settings that arguments or `recipe` name, resolved: no command may write over one that it reads."""
    named = [name] if (name := getattr(config, "recipe", None)) else []
    words = [one for one in arguments if isinstance(one, str | os.PathLike) and "=" not in str(one)]
    return {path.resolve() for word in [*words, *named] if (path := file_of(schema, word))}


def _told(schema: type, argument: str) -> Tree:
    """What one argument says; refused by its name where it does not fit."""
    try:
        if "=" in argument:
            return checked(schema, _nested(schema, argument), argument, is_named=False)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(_explain(argument, error)) from error
    if not (path := file_of(schema, argument)):
        raise ConfigError(f"{no_recipe(argument, schema)} Settings are given as key=value.")
    return told_by_file(schema, path)


def told_by_file(schema: type, path: Path) -> Tree:
    """What a yaml file says.

    Raises:
        ConfigError: it is no yaml, or does not fit the schema.
    """
    try:
        return checked(schema, tree_of_yaml(path.read_text(encoding="utf-8-sig")), str(path))
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(_explain(str(path), error)) from error


def checked(schema: type, told: Tree, where: str, *, is_named: bool = True) -> Tree:
    """What was said of some settings; refused by the name of who said so, where it does not fit.

    Args:
        schema: dataclass of all settings.
        told: what was said.
        where: it was, for messages.
        is_named: a value of another kind is told with `where` before it, too.

    Raises:
        ConfigError: a setting is unknown, or a value of another kind.
    """
    if not isinstance(told, dict):
        raise ConfigError(f"{where}: settings are a mapping, `name: value`.")
    values = plain(shaped(told, schema), schema)
    if names := list(unknown(values, schema)):
        raise ConfigError(f"{where}: {_no_setting(names[0], schema)}")
    _require_kinds(f"{where}: " if is_named else "", values, schema)
    return shaped(told, schema, is_whole=False)


def file_of(schema: type, word: str | os.PathLike[str]) -> Path | None:
    """The yaml file that a path or the name of a recipe stands for; None where it is neither.

    Args:
        schema: dataclass of the settings, for the recipes.
        word: as it was typed or given; a file wins over a recipe of that name.
    """
    path = Path(word).expanduser()
    return path if path.is_file() else recipes_of(schema).get(str(word))


def _no_setting(name: str, schema: type) -> str:
    if now := renamed(name, schema):
        return now
    above, _, _ = name.rpartition(".")
    settings = settings_of(kind_at(schema, above.split("."))) if above else schema
    known = ", ".join(kinds_of_fields(settings))
    return f"there is no setting {name!r}.{hint(name, schema)} Settings{f' of {above}' if above else ''}: {known}."


def _require_kinds(where: str, values: Any, schema: type) -> None:
    if wrong := list(misfits(values, schema)):
        raise ConfigError(where + " ".join(wrong))


def _nested(schema: type, argument: str) -> Tree:
    """`a.b=value` as {a: {b: value}}."""
    key, _, value = argument.partition("=")
    path, inside = [], OmegaConf.to_container(OmegaConf.from_dotlist([f"{key}=x"]))
    while isinstance(inside, dict):
        ((name, inside),) = inside.items()
        path.append(str(name))
    tree = tree_of_value(value, kind_at(schema, path))
    for name in reversed(path):
        tree = {name: tree}
    return tree


def _require_texts(config: Any) -> None:
    """Refuse nothing in place of a text that has no default: an empty `out` would be the folder one stands in."""
    kinds = kinds_of_fields(type(config))
    for field in dataclasses.fields(config):
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if members(kinds[field.name]) == (str,) and not has_default and not getattr(config, field.name).strip():
            raise ConfigError(f"{field.name} is empty. Give it a value, as in {field.name}=FOLDER.")
        if "\0" in str(getattr(config, field.name)):
            raise ConfigError(f"{field.name} holds a null character, which no path and no name can.")


def _explain(where: str, error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if "_type=" not in line and line.strip()] or [first_line(error)]
    if "missing mandatory value" in lines[0].lower():
        key = lines[0].rpartition(":")[2].strip()
        return f"the setting {key!r} has no value. Give it in a yaml file, or as {key}=… on the command line."
    return f"{where}: " + "\n".join(lines)
