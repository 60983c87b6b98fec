"""Read settings: yaml files and key=value -> a frozen dataclass, or a message.

Place in the flow: defaults < yaml files, left to right < key=value < --key value. Errors of OmegaConf and yaml end
here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fusemix.cli.options import split_options
from fusemix.config.misfits import misfits, unknown
from fusemix.config.names import hint, renamed
from fusemix.config.parts import read_options
from fusemix.config.shapes import shaped
from fusemix.config.typed import Tree, kind_at, kinds_of_fields, merged, plain, tree_of_value, tree_of_yaml
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
        arguments: yaml files, `key=value` and `--key value`, in any order; later files win over earlier ones,
            `key=value` wins over files, and options over all. Where a setting takes bare words, there are no files.
        parts: setting -> registry of the parts that it names; their options are read and checked as their
            factories state.

    Raises:
        ConfigError: a file is missing or not yaml, a key is unknown, a value has the wrong type.
    """
    if arguments and not dataclasses.fields(cast(Any, schema)):
        raise ConfigError(f"this command takes no settings, but was given: {' '.join(arguments)}")
    settings, said = split_options(schema, arguments)
    told: Tree = {}
    for argument in sorted(settings, key=lambda argument: "=" in argument):  # stable: files first
        told = merged(told, _told(schema, argument))
    told = shaped(merged(told, shaped(said, schema, is_whole=False)), schema)
    values = plain(told, schema)
    _require_kinds("", values, schema)
    read_options(told, values, schema, parts or {})
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), values)
        made = cast(Config, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        raise ConfigError(_explain(" ".join(arguments) or schema.__name__, error)) from error
    _require_texts(made)
    return made


def files_among(arguments: Sequence[str]) -> set[Path]:
    """Files of settings that arguments name, resolved: no command may write over one that it reads."""
    return {Path(argument).resolve() for argument in arguments if "=" not in argument and Path(argument).is_file()}


def _told(schema: type, argument: str) -> Tree:
    """What one argument says; refused by its name where it does not fit."""
    try:
        if "=" in argument:
            told = _nested(schema, argument)
        elif Path(argument).is_file():
            told = tree_of_yaml(Path(argument).read_text(encoding="utf-8-sig"))
        else:
            raise ConfigError(f"there is no config file {argument}. Settings are given as key=value.")
        if not isinstance(told, dict):
            raise ConfigError(f"{argument}: settings are a mapping, `name: value`.")
        values = plain(shaped(told, schema), schema)
        if names := list(unknown(values, schema)):
            raise ConfigError(f"{argument}: {_no_setting(names[0], schema)}")
        _require_kinds("" if "=" in argument else f"{argument}: ", values, schema)
        return shaped(told, schema, is_whole=False)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(_explain(argument, error)) from error


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
