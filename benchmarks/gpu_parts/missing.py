"""Stand-ins for packages that a bare machine lacks, where modules of fusemix import them at their top.

Only OmegaConf does anything: it builds the dataclasses of settings, so that commands run as people run them. The others
are names alone, and whatever is done with them fails.
"""

import dataclasses
import importlib
import sys
import types
import typing
from importlib.machinery import ModuleSpec
from typing import Any

STOOD_FOR = ("soundfile", "soxr", "ijson", "datasets", "open_clip")
NEEDED_BY_SOME = ("faiss", "fastapi", "timm", "torchvision", "jaxtyping")


class Absent:
    """Whatever is asked of a package that is not there."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("this machine lacks the package that this belongs to")


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent


class OmegaConf:
    """What fusemix.cli.loading asks of OmegaConf; values are checked before they come here."""

    @staticmethod
    def structured(schema: type) -> type:
        return schema

    @staticmethod
    def merge(schema: type, values: dict[str, Any]) -> tuple[type, dict[str, Any]]:
        return schema, values

    @staticmethod
    def to_object(given: tuple[type, Any]) -> Any:
        return made(*given)

    @staticmethod
    def from_dotlist(texts: list[str]) -> Any:
        (text,) = texts
        key, _, inside = text.partition("=")
        found: Any = inside
        for name in reversed(key.split(".")):
            found = {name: found}
        return found

    @staticmethod
    def to_container(values: Any) -> Any:
        return values


def made(kind: Any, value: Any) -> Any:
    """A value of a field's type: dataclasses are built, mappings gone through, and the rest is as it is."""
    kinds = [one for one in typing.get_args(kind) or [kind] if dataclasses.is_dataclass(one)]
    if isinstance(value, dict) and typing.get_origin(kind) is dict:
        return {key: made(typing.get_args(kind)[1], one) for key, one in value.items()}
    if not (kinds and isinstance(value, dict)):
        return value
    types_of = typing.get_type_hints(kinds[0])
    return typing.cast(Any, kinds[0])(**{key: made(types_of[key], one) for key, one in value.items()})


def stand_in() -> list[str]:
    """Put a stand-in where a package is missing; returns the names of what is."""
    missing = []
    for name in ("omegaconf", *STOOD_FOR, *NEEDED_BY_SOME):
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    for name in missing:
        if name == "omegaconf":
            _add(name, OmegaConf=OmegaConf)
            _add("omegaconf.errors", OmegaConfBaseException=type("OmegaConfBaseException", (Exception,), {}))
        elif name in STOOD_FOR:
            _add(name)
    return missing


def _add(name: str, **values: Any) -> None:
    module = _Module(name)
    module.__spec__, module.__path__ = ModuleSpec(name, None), []
    vars(module).update(values)
    sys.modules[name] = module
