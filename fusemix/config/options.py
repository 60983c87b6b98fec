"""Options as shells know them, `--name value`, beside `name=value`: both say the same of every setting.

Place in the flow: words of the command line -> what they say of each setting, or a message.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, get_type_hints

from fusemix.config.typed import Word
from fusemix.errors import ConfigError
from fusemix.kinds import is_text
from fusemix.registry import nearest


def split_options(schema: type, arguments: Sequence[str], words: str | None = None) -> tuple[list[str], dict[str, Any]]:
    """Part options from the other arguments.

    `--name value` and `--name=value` set a setting; `--name` alone switches on one that is true or false; a list takes
    `--name` several times. Settings that are text take their value as it stands, and all others as yaml reads it.
    Hyphens in names stand for underscores.

    Args:
        schema: dataclass of the settings.
        arguments: of the command.
        words: a setting that is a list of texts, which takes all arguments that are no options; without it, these
            are returned. After `--`, nothing is an option.

    Returns:
        The arguments that are no options, and what the options say, by setting.

    Raises:
        ConfigError: an option is unknown, or has no value.
    """
    kinds = get_type_hints(schema)
    left, said, texts = [], {}, []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            left, waiting = [*left, *waiting], []
        elif not argument.startswith("--"):
            left.append(argument)
        else:
            name, equals, value = argument.removeprefix("--").partition("=")
            name = name.replace("-", "_")
            kind = _kind(schema, kinds, name, argument)
            if not equals:
                value = _next(argument, kind, waiting)
            if kind in (list[str], list[int], list[float]):
                said[name] = [*said.get(name, []), Word(value, is_quoted=True)]
            elif is_text(kind):
                said[name] = Word(value, is_quoted=True)
            else:
                texts.append(f"{name}={value}")
    if words is not None:
        texts_said = [Word(word, is_quoted=True) for word in left]
        said, left = {**said, **({words: texts_said} if left else {})}, []
    return [*left, *texts], said


def _kind(schema: type, kinds: dict[str, Any], name: str, argument: str) -> Any:
    """Type of a setting; of one inside another (`optim.lr`) any."""
    known = [field.name for field in dataclasses.fields(schema)]
    first, dot, _ = name.partition(".")
    if first not in known:
        options = ", ".join(f"--{one.replace('_', '-')}" for one in known)
        raise ConfigError(f"there is no option {argument!r}.{nearest(first, known)} Options: {options}.")
    return Any if dot else kinds[name]


def _next(argument: str, kind: Any, waiting: list[str]) -> str:
    """The value behind an option: the next word, which a switch does not need."""
    if kind is bool:
        return waiting.pop(0) if waiting and waiting[0].lower() in ("true", "false") else "true"
    if not waiting or waiting[0].startswith("--"):
        raise ConfigError(f"{argument} has no value. Write {argument} VALUE.")
    return waiting.pop(0)
