"""Options as shells know them, `--name value`, beside `name=value`: both say the same of every setting.

Place in the flow: words of the command line -> what they say of each setting, or a message.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yaml import YAMLError

from fusemix.config.names import hint, renamed
from fusemix.config.typed import Word, kind_at, kinds_of_fields, tree_of_yaml
from fusemix.errors import ConfigError
from fusemix.parts.kinds import LISTS, inside, is_location, is_text


def bare_setting(schema: Any) -> str | None:
    """The setting that takes bare words; None where these are files of settings."""
    return next((field.name for field in dataclasses.fields(schema) if "bare" in field.metadata), None)


def split_options(schema: type, arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Part options from the other arguments.

    `--name value` and `--name=value` set a setting; `--name` alone switches on one that is true or false; a list takes
    `--name` several times, or all at once in brackets. A setting of one letter is also `-k 3`, `-k=3` or `-k3`.
    Settings that are text take their value unchanged, and all others as yaml reads it. Hyphens in names stand for
    underscores. After `--`, nothing is an option.

    Args:
        schema: dataclass of the settings; where one of them takes bare words, these are no files of settings, unless it
            says so.
        arguments: of the command.

    Returns:
        The arguments that are no options, and what the options say, by setting.

    Raises:
        ConfigError: an option is unknown, or has no value.
    """
    words = bare_setting(schema)
    bare: list[str] = []
    left: list[str] = []
    said: dict[str, Any] = {}
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            bare, waiting = [*bare, *waiting], []
        elif argument.startswith("-") and len(argument) > 1:
            left += _option(schema, argument, waiting, said)
        elif words is None or _is_file(schema, argument) or _is_setting(schema, words, argument):
            left.append(argument)
        else:
            bare.append(argument)
    if words is None:
        return [*bare, *left], said
    if bare:
        named = [argument.partition("=")[2] for argument in left if argument.partition("=")[0] == words]
        said[words] = _said_barely(schema, words, bare, said.get(words), named)
    return left, said


def _said_barely(schema: type, words: str, bare: list[str], before: Any, named: list[str]) -> Any:
    """What bare words say of the setting that takes them.

    Args:
        schema, words, bare: as above.
        before: what an option said of it, or None.
        named: what `name=value` said of it.

    Raises:
        ConfigError: it takes one, and there are several.
    """
    if inside(kinds_of_fields(schema)[words], LISTS):
        return [*(before or []), *(Word(one, is_quoted=True) for one in _queries(schema, words, bare))]
    given = [*([before.text] if before is not None else []), *named, *bare]
    if len(given) > 1:
        raise ConfigError(f"{words} is one, but was given {len(given)}: {', '.join(given)}.")
    return Word(bare[0], is_quoted=True)


def _is_file(schema: type, argument: str) -> bool:
    """Whether a bare word is a file of settings, where others are not."""
    takes_files = any("files" in field.metadata for field in dataclasses.fields(schema))
    return takes_files and "=" not in argument and Path(argument).suffix in (".yaml", ".yml")


def _is_setting(schema: type, words: str, argument: str) -> bool:
    """Whether an argument is `name=value`, where bare words are something else.

    Raises:
        ConfigError: it can hardly be anything else, and there is no such setting.
    """
    name, equals, _ = argument.partition("=")
    kinds = kinds_of_fields(schema)
    if not equals or name.partition(".")[0] in kinds:
        return bool(equals)
    if now := renamed(name, schema):
        raise ConfigError(f"{argument}: {now}")
    is_path = is_location(_each(kinds[words]))
    near = hint(name, schema) if len(argument.split()) == 1 else ""
    is_name = name.removeprefix("+" if is_path else "").isidentifier()
    if is_name and (not Path(argument).exists() if is_path else near):
        where = "" if is_path else " A text goes behind --."
        raise ConfigError(f"{argument}: there is no setting {name!r}.{near} Settings: {', '.join(kinds)}.{where}")
    return False


def _queries(schema: type, words: str, bare: list[str]) -> list[str]:
    """Bare words as the texts that they are: paths each by itself, and single words all together."""
    is_path = is_location(_each(kinds_of_fields(schema)[words]))
    return bare if is_path or any(len(one.split()) != 1 for one in bare) else [" ".join(bare)]


def _each(kind: Any) -> Any:
    """The type of one of what may be several."""
    return (inside(kind, LISTS) or [kind])[0]


def _option(schema: type, argument: str, waiting: list[str], said: dict[str, Any]) -> list[str]:
    """Note what an option says, with the words that wait behind it; or return it as `name=value`."""
    name, equals, value = _parted(schema, argument)
    kind = kind_at(schema, name.split("."))
    if not equals:
        value = _next(argument, kind, waiting)
    if "." in name:
        return [f"{name}={value}"]
    if inside(kind, LISTS):
        said[name] = [*said.get(name, []), *_listed(value, kind, is_bare=name == bare_setting(schema))]
    elif is_text(kind):
        said[name] = Word(value, is_quoted=True)
    else:
        return [f"{name}={value}"]
    return []


def _parted(schema: type, argument: str) -> tuple[str, str, str]:
    """Name of the setting, `=` where its value stands in the same word, and that value.

    Raises:
        ConfigError: there is no such option.
    """
    known = [field.name for field in dataclasses.fields(schema)]
    if not argument.startswith("--"):
        letter, value = argument[1], argument[2:]
        if letter in known:
            return letter, "=" if value else "", value.removeprefix("=")
    name, equals, value = argument.lstrip("-").partition("=")
    name = name.replace("-", "_")
    if name.partition(".")[0] in known and argument.startswith("--"):
        return name, equals, value
    options = ", ".join(f"--{one.replace('_', '-')}" for one in known)
    if now := renamed(name, schema):
        raise ConfigError(f"{argument}: {now}")
    where = "" if bare_setting(schema) is None else " What begins with a hyphen and is no option goes behind --."
    raise ConfigError(f"there is no option {argument!r}.{hint(name, schema)} Options: {options}.{where}")


def _listed(value: str, kind: Any, *, is_bare: bool) -> list[Any]:
    """What one option says of a list; sentences are never taken apart."""
    if value.startswith("[") and not is_bare:
        try:
            tree = tree_of_yaml(value)
        except YAMLError:
            tree = None
        if isinstance(tree, list):
            return tree
    return [Word(value, is_quoted=is_text(inside(kind, LISTS)[0]))]


def _next(argument: str, kind: Any, waiting: list[str]) -> str:
    """The value behind an option: the next word, which a switch does not need."""
    if kind is bool:
        return waiting.pop(0) if waiting and waiting[0].lower() in ("true", "false") else "true"
    if not waiting or waiting[0].startswith("--"):
        raise ConfigError(f"{argument} has no value. Write {argument} VALUE.")
    return waiting.pop(0)
