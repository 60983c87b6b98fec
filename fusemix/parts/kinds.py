"""Kinds of settings, as annotations give them: which are texts, and what does not fit.

Place in the flow: the types of a dataclass or of a factory -> how a word is read (config/typed.py), what is refused.
A kind that is none of these takes anything.
"""

import collections.abc
import dataclasses
import inspect
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from fusemix.urls import NOT_HERE, is_url

LISTS = (list, tuple, set, collections.abc.Sequence, collections.abc.Iterable)
MAPPINGS = (dict, collections.abc.Mapping)
PATH, ANYWHERE = "path", "or URL"
Location = Annotated[str, PATH]
"""Kind of a text that is a path, in which `~` is the home folder; or a name elsewhere, such as that of a model."""
Place = Annotated[str, PATH, ANYWHERE]
"""The same, which may also be a URL such as s3://bucket/photos."""
NAMES = {
    str: "a text",
    Path: "a path",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
}
COUNTED = ("a text", "a number", "a whole number")
"""Of which a list may be; what else is in one is not named."""
MODULES = re.compile(r"\b(?:\w+\.)+")
"""What stands before a type's own name."""


def members(kind: Any) -> tuple[Any, ...]:
    """The members of a union; of any other kind, itself. What is noted beside a kind is left out."""
    if get_origin(kind) is Annotated:
        return members(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(inner for one in get_args(kind) for inner in members(one))
    return (kind,)


def is_text(kind: Any) -> bool:
    """Whether a kind is text, perhaps one of some words, perhaps null or something nested; and no number."""
    kinds = members(kind)
    has_text = any(one in (str, Path) or get_origin(one) is Literal for one in kinds)
    return has_text and not any(one in kinds for one in (int, float, bool, Any))


def is_location(kind: Any) -> bool:
    """Whether a kind is a path, perhaps among others."""
    if get_origin(kind) is Annotated:
        return PATH in get_args(kind)[1:]
    if get_origin(kind) in (Union, types.UnionType):
        return any(map(is_location, get_args(kind)))
    return kind is Path


def takes_urls(kind: Any) -> bool:
    """Whether a kind is a path that may also be a URL, perhaps among others."""
    if get_origin(kind) is Annotated:
        return ANYWHERE in get_args(kind)[1:]
    return get_origin(kind) in (Union, types.UnionType) and any(map(takes_urls, get_args(kind)))


def inside(kind: Any, containers: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a kind's member that is one of some containers, as in `list[str]`; nothing where none is."""
    return next((get_args(one) for one in members(kind) if get_origin(one) in containers), ())


def settings_of(kind: Any) -> Any:
    """The member of a kind that is a dataclass of settings; None where none is."""
    return next((one for one in members(kind) if dataclasses.is_dataclass(one)), None)


def kind_of(parameter: inspect.Parameter) -> Any:
    """What a parameter takes, by its annotation or else by its default."""
    if parameter.annotation is not parameter.empty:
        return parameter.annotation
    return type(parameter.default) if isinstance(parameter.default, str) else Any


def written(kind: Any) -> str:
    """A kind as `--help` writes it.

    >>> written(dict[str, Location] | None)
    'dict[str, path] | None'
    """
    if get_origin(kind) is Annotated:
        name = f"{PATH} {ANYWHERE}" if takes_urls(kind) else PATH
        return name if is_location(kind) else written(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return " | ".join(map(written, get_args(kind)))
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    if get_args(kind):
        return f"{get_origin(kind).__name__}[{', '.join(map(written, get_args(kind)))}]"
    if kind is type(None):
        return "None"
    return kind.__name__ if isinstance(kind, type) else MODULES.sub("", str(kind))


def misfit(value: Any, kind: Any) -> str | None:
    """What a value must be, where it is not; None where it fits or the kind is not one of these.

    >>> misfit("many", int | None)
    'a whole number or null'
    """
    kinds = members(kind)
    if _is_misplaced(value, kind):
        return NOT_HERE
    if any(_fits(value, one) for one in kinds):
        return None
    return " or ".join(dict.fromkeys(_name(one) for one in kinds))


def _is_misplaced(value: Any, kind: Any) -> bool:
    """Whether a URL stands where a path of this machine is wanted, alone or among others."""
    if isinstance(value, list | tuple | dict):
        inner = inside(kind, MAPPINGS if isinstance(value, dict) else LISTS)
        return bool(inner) and any(
            _is_misplaced(one, inner[-1]) for one in (value.values() if isinstance(value, dict) else value)
        )
    return is_url(value) and is_location(kind) and not takes_urls(kind)


def _fits(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin in LISTS:
        inner = (get_args(kind) or (Any,))[0]
        return isinstance(value, (list, tuple)) and all(misfit(one, inner) is None for one in value)
    if origin in MAPPINGS:
        inner = get_args(kind)[1]
        return isinstance(value, dict) and all(misfit(one, inner) is None for one in value.values())
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is Path:
        return isinstance(value, (str, Path))
    if dataclasses.is_dataclass(kind):
        return isinstance(value, dict) or type(value) is kind
    return isinstance(value, kind) if kind in NAMES else True


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    for containers, name in ((LISTS, "a list"), (MAPPINGS, "a mapping")):
        if get_origin(kind) in containers:
            inner = NAMES.get(members(get_args(kind)[-1])[0])
            return f"{name} of {inner.removeprefix('a ')}s" if inner in COUNTED else name
    if dataclasses.is_dataclass(kind):
        return f"a mapping of {', '.join(field.name for field in dataclasses.fields(kind))}"
    return NAMES.get(kind, str(kind))


def record_of(kind: Callable[..., Any], row: Any) -> Any:
    """A NamedTuple or dataclass out of what a file says.

    Raises:
        ValueError: the row has not its fields, or a value is of another kind.
    """
    kinds = get_type_hints(kind)
    if not isinstance(row, dict) or not row.keys() <= kinds.keys():
        raise ValueError(f"it holds something else than {', '.join(kinds)}")
    for key, value in row.items():
        if wanted := misfit(value, kinds[key]):
            raise ValueError(f"{key!r} is {value!r}, but must be {wanted}")
    try:
        return kind(**row)
    except TypeError as error:
        raise ValueError(f"it lacks some of {', '.join(kinds)}") from error
