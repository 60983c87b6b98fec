"""What was typed, read as the kind of its setting: a text stays the text that was typed.

Place in the flow: yaml and key=value -> a tree of words -> plain data, by the types of a dataclass and of a factory.
YAML alone would make 202401 of the folder `2024_01`, 7 of `007`, False of `no` and 90 of `1:30`.
"""

import dataclasses
import inspect
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_origin, get_type_hints

import yaml

from fusemix.errors import ConfigError
from fusemix.parts.kinds import LISTS, MAPPINGS, inside, is_location, is_text, members, settings_of
from fusemix.urls import is_url, local_path, problem, without_secrets

NULLS = ("", "~", "null", "Null", "NULL")
TRUTHS = {"true": True, "false": False}
"""As YAML 1.2 knows them."""
OLD_TRUTHS = {"yes": True, "on": True, "no": False, "off": False}
"""As YAML 1.1 knows them besides: words, unless something true or false is wanted."""
SWITCHES = {"1": True, "0": False}
"""Where nothing but true or false is taken."""
SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
"""How YAML writes what is no number, and how Python does."""
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)\.[0-9]*|[0-9]+(\.[0-9]*)?(?=[eE]))([eE][-+]?[0-9]+)?")
INTERPOLATION = re.compile(r"(\\*)\$\{")
MOST_NODES = 100_000
"""Of a yaml file with its aliases written out."""


class Noted:
    """Kind of what people note down for one another: anything, in which a number counts only if none of it is lost."""


class Word(NamedTuple):
    """One value as it was typed.

    Attributes:
        text: without quotes.
        is_quoted: it stood in quotes, or is text unchanged.
        tree: what yaml reads in it where that is no single value; it counts unless a text is wanted.
    """

    text: str
    is_quoted: bool = False
    tree: Any = None


class Whole(dict[str, Any]):
    """A mapping that was typed as one word; it takes the place of what was there, and is not merged into it."""


Tree = dict[str, Any] | list[Any] | Word | int | float | None
"""Mappings, lists and words, as nested as what was typed; out of Python also numbers, truths and nothing."""


def tree_of_yaml(text: str) -> Tree:
    """What stands in a yaml document, without deciding what a word means.

    Raises:
        YAMLError: it is no yaml, a key is there twice, or aliases grow without end.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return {} if node is None else _tree(loader, node, iter(range(MOST_NODES)))
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply, or an alias stands within itself") from None
    finally:
        loader.dispose()


def _tree(loader: yaml.SafeLoader, node: yaml.Node, budget: Any) -> Tree:
    if next(budget, None) is None:
        raise yaml.MarkedYAMLError(problem="its aliases grow without end", problem_mark=node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        return [_tree(loader, value, budget) for value in node.value]
    if isinstance(node, yaml.ScalarNode):
        return Word(node.value, is_quoted=node.style is not None or _is_tagged(loader, node))
    assert isinstance(node, yaml.MappingNode), "yaml has no other nodes"
    written = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    for place, key in enumerate(written):
        if not isinstance(key, str) or key in written[:place]:
            problem = f"the key {key!r} is there twice" if isinstance(key, str) else "a key is no single word"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    loader.flatten_mapping(node)  # `<<`
    return {str(key.value): _tree(loader, value, budget) for key, value in node.value}


def _is_tagged(loader: yaml.SafeLoader, node: yaml.Node) -> bool:
    """Whether a plain word was tagged as a text that yaml would not take for one, `!!str 5`."""
    text = "tag:yaml.org,2002:str"
    return node.tag == text != loader.resolve(yaml.ScalarNode, node.value, (True, False))


def tree_of_value(text: str, kind: Any) -> Tree:
    """What `key=value` says, where the key's kind is known.

    Raises:
        YAMLError: it is no yaml, and cannot be a text.
    """
    if not text:
        return Word(text)
    try:
        tree = tree_of_yaml(text)
    except yaml.YAMLError:
        if is_text(kind) or (Any in members(kind) and text[0] not in "[{"):  # of an option, the kind comes later
            return Word(text)
        raise
    if not isinstance(tree, Word):
        return Word(text, tree=tree)
    return tree if tree.is_quoted else Word(text)  # yaml would cut off what it takes for a comment


def merged(first: Any, second: Any) -> Any:
    """Two trees in one: the second wins, and mappings are merged key by key."""
    one, other = map(_mapping, (first, second))
    if one is None or other is None or isinstance(second, Whole):
        return second
    return {**one, **{key: merged(one[key], value) if key in one else value for key, value in other.items()}}


def bare(tree: Any) -> Any:
    """What yaml reads in a word, where that is no single value; anything else as it is."""
    return tree.tree if isinstance(tree, Word) and tree.tree is not None else tree


def _mapping(tree: Any) -> dict[str, Any] | None:
    tree = bare(tree)
    return tree if isinstance(tree, dict) else None


def plain(tree: Any, kind: Any) -> Any:
    """A tree as plain data of a kind; what does not fit stays as it is, for whoever checks.

    Args:
        tree: see Tree.
        kind: a type, as annotations give it.
    """
    if isinstance(tree, Word):
        if tree.tree is None or (
            is_text(kind) and not inside(kind, LISTS if isinstance(tree.tree, list) else MAPPINGS)
        ):
            value = value_of(tree, kind)
            if isinstance(value, str) and is_location(kind):
                value = _located(value)
            return _escaped(value) if isinstance(value, str) else value
        tree = tree.tree
    if isinstance(tree, list):
        return [plain(one, inner_kind(kind, LISTS)) for one in tree]
    if not isinstance(tree, dict):  # a value out of Python
        return str(tree) if type(tree) in (int, float) and is_text(kind) else tree
    if (settings := settings_of(kind)) is not None:
        kinds = kinds_of_fields(settings)
        return {key: plain(value, kinds.get(key, Any)) for key, value in tree.items()}
    return {key: plain(one, inner_kind(kind, MAPPINGS)) for key, one in tree.items()}


def _located(path: str) -> str:
    """A path that begins with `~` from the home folder, and that of `file://`; any other text as it is.

    Raises:
        ConfigError: it is a URL that chains protocols, or holds what must not be written down.
    """
    if is_url(path):
        if found := problem(path):
            raise ConfigError(f"{without_secrets(path)} is not opened: {found}.")
        return local_path(path)
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:
        return path


def inner_kind(kind: Any, containers: tuple[Any, ...]) -> Any:
    """The kind of what a list or a mapping of a kind holds; anything, where that is not said."""
    if kind is Noted:
        return Noted
    found = inside(kind, containers) or (Any,)
    return found[-1] if containers is MAPPINGS else found[0]


@cache
def kinds_of_fields(schema: Any) -> dict[str, Any]:
    """Setting -> its kind."""
    hints = get_type_hints(schema, include_extras=True)
    return {field.name: field.metadata.get("kind", hints[field.name]) for field in fields_of(schema)}


def fields_of(schema: Any) -> list[dataclasses.Field[Any]]:
    """The settings of a dataclass, its own before those that it has in common with others."""
    own = inspect.get_annotations(schema)
    return sorted(dataclasses.fields(schema), key=lambda field: field.name not in own)


def kind_at(schema: Any, path: list[str]) -> Any:
    """The kind of a setting inside others, such as that of `optim.lr`; Any where it is not known."""
    kind = schema
    for key in path:
        settings = settings_of(kind)
        kind = kinds_of_fields(settings).get(key, Any) if settings else inner_kind(kind, MAPPINGS)
    return kind


def value_of(word: Word, kind: Any) -> Any:
    """A word as a kind; the text itself where it is no such thing, for whoever checks."""
    kinds = members(kind)
    if word.is_quoted and (is_text(kind) or {str, Any, Noted} & {one for one in kinds if get_origin(one) is None}):
        return word.text
    if word.text in NULLS and (word.text or type(None) in kinds or not is_text(kind)):
        return None
    if is_text(kind):
        return word.text
    anything = not {int, float, bool} & {one for one in kinds if get_origin(one) is None}
    truths = TRUTHS | (OLD_TRUTHS if bool in kinds else {}) | (SWITCHES if {*kinds} <= {bool, type(None)} else {})
    if (anything or bool in kinds) and word.text.lower() in truths:
        return truths[word.text.lower()]
    if anything:
        number = _any_number(word.text)
        return word.text if Noted in kinds and str(number) != word.text else number
    return _number(word.text, with_fractions=float in kinds)


def _any_number(text: str) -> int | float | str:
    """By the rules of YAML 1.2, where anything may be; the text where it is no number."""
    if WHOLE.fullmatch(text):
        return int(text)
    special = SPECIAL.get(text.lower())
    return float(special or text) if special or DECIMAL.fullmatch(text) else text


def _number(text: str, *, with_fractions: bool) -> int | float | str:
    """By Python's rules, where a number is wanted; whole ones stay whole."""
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(SPECIAL.get(text.lower(), text)) if with_fractions else text
    return text


def _escaped(text: str) -> str:
    """A text that OmegaConf takes unchanged: it would see interpolations and missing values in some."""
    if text.endswith("???") and not text[:-3].strip("\\"):
        return f"\\{text}"
    return INTERPOLATION.sub(lambda found: f"{2 * found[1]}\\${{", text)
