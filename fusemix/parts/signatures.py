"""What a factory takes and says of itself, read from the source of its module, which may be slow to import.

Place in the flow: "module:callable" -> a signature and a docstring -> registry.py, help, completion.
A module that is imported already is asked itself.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fusemix.parts.kinds import Location, Place

KNOWN = {kind.__name__: kind for kind in (bool, dict, float, int, list, set, str, tuple, Path)} | {
    "Any": Any,
    "Callable": Callable,
    "Iterable": Iterable,
    "Literal": Literal,
    "Location": Location,
    "Mapping": Mapping,
    "None": None,
    "Place": Place,
    "Sequence": Sequence,
}
"""What annotations may be made of; with anything else in it, one says nothing."""


class Stated(NamedTuple):
    """A factory as its source has it."""

    signature: inspect.Signature
    doc: str


def signature_of(factory: Callable[..., Any]) -> inspect.Signature:
    """Of what is imported; annotations that cannot be read are left out.

    Raises:
        ValueError: it does not say which arguments it takes.
    """
    with suppress(NameError, TypeError, SyntaxError, AttributeError):
        return inspect.signature(factory, eval_str=True)
    found = inspect.signature(factory)
    return found.replace(parameters=[p.replace(annotation=p.empty) for p in found.parameters.values()])


def stated(target: str) -> Stated | None:
    """What `module:callable` takes, without importing the module; None where its source does not say.

    Args:
        target: a function, or a class with a constructor of its own, at the top of a module.
    """
    name, _, attribute = target.partition(":")
    if name not in sys.modules:
        return stated_in_source(target)
    factory = getattr(sys.modules[name], attribute, None)
    return Stated(signature_of(factory), inspect.getdoc(factory) or "") if callable(factory) else None


@cache
def stated_in_source(target: str) -> Stated | None:
    """The same, whether the module is imported or not."""
    name, _, attribute = target.partition(":")
    with suppress(ImportError, OSError, SyntaxError, ValueError):
        spec = find_spec(name)
        module = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
        return _stated(module, attribute)
    return None


def _stated(module: ast.Module, attribute: str) -> Stated | None:
    found = next((one for one in module.body if getattr(one, "name", None) == attribute), None)
    constants = _constants(module)
    if isinstance(found, ast.FunctionDef) and not found.decorator_list:
        return Stated(_signature(found, constants), ast.get_docstring(found) or "")
    if isinstance(found, ast.ClassDef):
        made = next((one for one in found.body if getattr(one, "name", None) == "__init__"), None)
        if isinstance(made, ast.FunctionDef):
            signature = _signature(made, constants)
            without_self = list(signature.parameters.values())[1:]
            return Stated(signature.replace(parameters=without_self), ast.get_docstring(found) or "")
    return None


def _constants(module: ast.Module) -> dict[str, Any]:
    """Names at the top of a module that stand for plain values."""
    found = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            with suppress(ValueError):
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


def _signature(function: ast.FunctionDef, constants: Mapping[str, Any]) -> inspect.Signature:
    """The signature of a definition.

    Raises:
        ValueError: a default is no plain value, or there are other arguments than named ones.
    """
    given = function.args
    if given.vararg or given.kwarg or given.posonlyargs:
        raise ValueError("other arguments than named ones")
    defaults = [*[None] * (len(given.args) - len(given.defaults)), *given.defaults]
    pairs = [
        *(
            (one, default, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for one, default in zip(given.args, defaults, strict=True)
        ),
        *(
            (one, default, inspect.Parameter.KEYWORD_ONLY)
            for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        ),
    ]
    return inspect.Signature(
        [
            inspect.Parameter(one.arg, kind, default=_default(default, constants), annotation=_annotation(one))
            for one, default, kind in pairs
        ]
    )


def _default(node: ast.expr | None, constants: Mapping[str, Any]) -> Any:
    if node is None:
        return inspect.Parameter.empty
    return constants[node.id] if isinstance(node, ast.Name) and node.id in constants else ast.literal_eval(node)


def _annotation(argument: ast.arg) -> Any:
    """The kind that an annotation means, which is made of known names and nothing else."""
    if argument.annotation is None:
        return inspect.Parameter.empty
    with suppress(LookupError, TypeError, ValueError):
        return _kind(argument.annotation)
    return Any


def _kind(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return KNOWN[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _kind(node.left) | _kind(node.right)
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _kind(node.value)[tuple(map(_kind, inner))]
    raise ValueError("no kind of a setting")
