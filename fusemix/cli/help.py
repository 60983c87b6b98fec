"""What `--help` prints: commands; every setting with its type, default and meaning; and the parts that can be named.

Place in the flow: COMMANDS, the dataclasses of settings, the tables of parts and the source of both -> text.
"""

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from fusemix import __version__, config
from fusemix.cli.parts import parts_of
from fusemix.cli.table import COMMANDS, SETTINGS
from fusemix.config.names import NAME
from fusemix.config.typed import fields_of, kinds_of_fields
from fusemix.errors import ConfigError
from fusemix.parts.kinds import kind_of, members, settings_of, written
from fusemix.parts.registry import Registry, nearest
from fusemix.parts.signatures import stated

WIDTH = 80
"""Columns that every terminal has."""
ARGUMENT = re.compile(r"^ {4}(\w+(?:, \w+)*): ")
"""How an argument begins in a docstring."""


def overview() -> str:
    """What `fusemix --help` prints."""
    lines = [line for name, command in COMMANDS.items() for line in _wrapped(f"  {name:<19}{command.about}", 21)]
    return "\n".join(
        [
            f"fusemix {__version__}: align frozen encoders in one space",
            "",
            f"fusemix <command> {SETTINGS}",
            "",
            *lines,
            "",
            "fusemix <command> --help lists all settings of a command.",
            "fusemix <command> --help WORD lists those of one kind: optim, encoders, timm.",
        ]
    )


def help_text(command: str, words: Sequence[str] = ()) -> str:
    """What `fusemix <command> --help` prints.

    Args:
        command: name in COMMANDS.
        words: settings or parts to list; none lists all.

    Raises:
        ConfigError: a word is neither.
    """
    about, schema, usage, *_ = COMMANDS[command]
    settings = getattr(config, schema)
    sections = [*_sections_of_settings(settings).items(), *_sections_of_parts(settings).items()]
    known = [name for name, _ in sections]
    for word in words:
        if word not in known:
            raise ConfigError(f"{command} has no setting or part {word!r}.{nearest(word, known)}")
    head = _wrapped(f"fusemix {' '.join(filter(None, [command, usage]))}: {about}", 4)
    return "\n".join([*head, "", *(line for name, of in sections if not words or name in words for line in of)])


def options_of(registry: Registry, name: str) -> Iterator[tuple[str, inspect.Parameter, str]]:
    """Options of a part: name, parameter, and what its factory says of it."""
    found = stated(registry.table[name])
    texts = argument_texts(found.doc) if found else {}
    for key, parameter in registry.signature(name).parameters.items():
        if key not in registry.given:
            yield key, parameter, texts.get(key, "")


def summary_of(registry: Registry, name: str) -> str:
    """The first paragraph of what a part's factory says of itself."""
    found = stated(registry.table[name])
    return " ".join(found.doc.partition("\n\n")[0].split()) if found else ""


def argument_texts(doc: str) -> dict[str, str]:
    """Argument -> what a docstring says of it."""
    texts: dict[str, list[str]] = {}
    here: list[str] = []
    for line in doc.partition("Args:\n")[2].splitlines():
        if not line.startswith(" "):
            break
        if begun := ARGUMENT.match(line):
            here = [line[begun.end() :]]
            texts.update(dict.fromkeys(begun[1].split(", "), here))
        else:
            here.append(line)
    return {name: " ".join(" ".join(lines).split()) for name, lines in texts.items()}


def _sections_of_settings(schema: type) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, line in _settings(schema, ""):
        found.setdefault(name.partition(".")[0], []).append(line)
    return found


def _sections_of_parts(schema: type) -> dict[str, list[str]]:
    """Part -> its lines; the first of a registry stands below a title."""
    settings: dict[Registry, list[str]] = {}
    for setting, registry in parts_of(schema).items():
        settings.setdefault(registry, []).append(setting)
    found: dict[str, list[str]] = {}
    for registry, named in settings.items():
        title = f"{' and '.join(named)}: one of these, with its options; or package.module:factory of your own"
        for place, name in enumerate(registry.names()):
            found[name] = [*([] if place else ["", *_wrapped(title, 2)]), *_part(registry, name)]
    return found


def _part(registry: Registry, name: str) -> list[str]:
    lines = _wrapped(f"  {name}: {summary_of(registry, name)}", 6)
    for key, parameter, text in options_of(registry, name):
        has_default = parameter.default is not parameter.empty
        default = f" = {parameter.default}" if has_default else " (required)"
        lines += _wrapped(f"      {key}: {written(kind_of(parameter))}{default}", 10)
        lines += _wrapped(" " * 10 + text, 10) if text else []
    return lines


def _settings(schema: type, prefix: str, given: object = None) -> Iterator[tuple[str, str]]:
    """Full name of a setting, and a line of what is said of it."""
    texts, kinds = field_texts(schema), kinds_of_fields(schema)
    for field in fields_of(schema):
        name, kind = f"{prefix}{field.name}", kinds[field.name]
        default = getattr(given, field.name) if given is not None else _default(field)
        inner = settings_of(kind)
        if inner is not None:
            instance = None if default is dataclasses.MISSING else default
            yield from ((name, line) for line in _wrapped(f"  {name}.*: {texts[field.name]}", 6))
            yield from _settings(inner, f"{name}.", instance)
            continue
        yield name, f"  {name}: {written(kind)}{' (required)' if default is dataclasses.MISSING else f' = {default}'}"
        yield from ((name, line) for line in _wrapped(f"      {texts[field.name]}", 6))
        of_each = next((one for of in members(kind) for one in get_args(of) if dataclasses.is_dataclass(one)), None)
        if isinstance(of_each, type):
            yield from _settings(of_each, f"{name}.{NAME}.")


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _wrapped(text: str, indent: int) -> list[str]:
    """A paragraph in lines, whose first keeps its own indent."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def field_texts(schema: type) -> dict[str, str]:
    """The text under each field of a dataclass, out of its source and of what it inherits from."""
    texts: dict[str, str] = {}
    for kind in reversed([kind for kind in schema.__mro__ if dataclasses.is_dataclass(kind)]):
        texts |= _own_texts(kind)
    return texts


def _own_texts(schema: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(schema))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = following.value if isinstance(following, ast.Expr) else None
            texts[statement.target.id] = " ".join(str(value.value).split()) if isinstance(value, ast.Constant) else ""
    return texts
