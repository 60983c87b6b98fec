"""What was typed, read as the kind of its setting: a text stays the text that was typed.

Place in the flow: yaml and key=value -> a tree of words -> plain data, by the types of a dataclass and of a factory.
YAML alone would make 202401 of the folder `2024_01`, 7 of `007`, False of `no` and 90 of `1:30`.
"""

import dataclasses
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, get_origin, get_type_hints

import yaml

from fusemix.errors import ConfigError
from fusemix.kinds import LISTS, MAPPINGS, inside, is_text, members, option_kinds
from fusemix.registry import Registry

NULLS = ("", "~", "null", "Null", "NULL")
TRUTHS = {"true": True, "false": False}
"""As YAML 1.2 knows them."""
OLD_TRUTHS = {"yes": True, "on": True, "no": False, "off": False}
"""As YAML 1.1 knows them besides: words, unless something true or false is wanted."""
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
        is_quoted: it stood in quotes, or is text as it stands.
        tree: what yaml reads in it where that is no single value; it counts unless a text is wanted.
    """

    text: str
    is_quoted: bool = False
    tree: Any = None


Tree = dict[str, Any] | list[Any] | Word
"""Mappings, lists and words, as nested as what was typed."""


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
    if one is None or other is None:
        return second
    return {**one, **{key: merged(one[key], value) if key in one else value for key, value in other.items()}}


def _mapping(tree: Any) -> dict[str, Any] | None:
    tree = tree.tree if isinstance(tree, Word) else tree
    return tree if isinstance(tree, dict) else None


def plain(tree: Any, kind: Any, parts: Mapping[str, Registry] | None = None) -> Any:
    """A tree as plain data of a kind; what does not fit stays as it is, for whoever checks.

    Args:
        tree: see Tree.
        kind: a type, as annotations give it.
        parts: setting -> registry of the parts that it names, whose options are read by their factories' types.
    """
    if isinstance(tree, Word):
        if tree.tree is None or (
            is_text(kind) and not inside(kind, LISTS if isinstance(tree.tree, list) else MAPPINGS)
        ):
            value = value_of(tree, kind)
            return _escaped(value) if isinstance(value, str) else value
        tree = tree.tree
    if isinstance(tree, dict) and _is_list_of_parts(kind):
        tree = [tree]
    if isinstance(tree, list):
        inner = kind if kind is Noted else (*inside(kind, LISTS)[:1], Any)[0]
        return [plain(one, inner) for one in tree]
    schema = next((one for one in members(kind) if dataclasses.is_dataclass(one)), None)
    if schema is not None:
        return _plain_settings(tree, schema, parts or {})
    inner = kind if kind is Noted else (*inside(kind, MAPPINGS)[1:], Any)[0]
    return {key: plain(one, inner) for key, one in tree.items()}


def _is_list_of_parts(kind: Any) -> bool:
    """Whether a list of settings is wanted, so that settings alone can only mean a list of one."""
    return bool(inside(kind, LISTS)) and dataclasses.is_dataclass(inside(kind, LISTS)[0]) and not inside(kind, MAPPINGS)


def _plain_settings(tree: dict[str, Any], schema: Any, parts: Mapping[str, Registry]) -> dict[str, Any]:
    kinds = _kinds_of_fields(schema)
    made = {key: plain(value, kinds.get(key, Any)) for key, value in tree.items()}
    for key in made.keys() & parts.keys():
        default = getattr(_default(schema, key), "name", None)
        _read_options(tree[key], made[key], default, parts[key])
    return made


def _kinds_of_fields(schema: Any) -> dict[str, Any]:
    told = {field.name: field.metadata["kind"] for field in dataclasses.fields(schema) if "kind" in field.metadata}
    return get_type_hints(schema) | told


def _default(schema: Any, key: str) -> Any:
    factory = next(field.default_factory for field in dataclasses.fields(schema) if field.name == key)
    return None if factory is dataclasses.MISSING else factory()


def _read_options(tree: Any, made: Any, default: str | None, registry: Registry) -> None:
    """Read the options of all parts in a setting once more, in place, by the types that their factories state."""
    tree = tree.tree if isinstance(tree, Word) else tree
    if isinstance(made, list):
        for one, read in zip([tree] if isinstance(tree, dict) else tree, made, strict=True):
            _read_options(one, read, None, registry)
    elif isinstance(tree, dict) and tree.keys() <= {"name", "options"}:
        name, options = made.get("name", default), _mapping(tree.get("options"))
        if isinstance(name, str) and options and any(map(_depends, options.values())):
            kinds = _kinds_of_options(registry, name)
            made["options"] = {key: plain(value, kinds.get(key, Any)) for key, value in options.items()}
    elif isinstance(tree, dict):
        for key, one in tree.items():
            _read_options(one, made[key], None, registry)


def _kinds_of_options(registry: Registry, name: str) -> dict[str, Any]:
    with suppress(ConfigError):  # whoever builds the part says so
        return option_kinds(registry.factory(name))
    return {}


def _depends(tree: Any) -> bool:
    """Whether what was typed would mean something else as a text."""
    if isinstance(tree, Word):
        return tree.tree is not None or value_of(tree, Any) != tree.text
    return any(map(_depends, tree.values() if isinstance(tree, dict) else tree))


def kind_at(schema: Any, path: list[str]) -> Any:
    """The kind of a setting inside others, such as that of `optim.lr`; Any where it is not known."""
    kind = schema
    for key in path:
        settings = next((one for one in members(kind) if dataclasses.is_dataclass(one)), None)
        kind = _kinds_of_fields(settings).get(key, Any) if settings else (*inside(kind, MAPPINGS)[1:], Any)[0]
    return kind


def value_of(word: Word, kind: Any) -> Any:
    """A word as a kind; the text itself where it is no such thing, for whoever checks."""
    kinds = members(kind)
    if word.is_quoted:
        return word.text
    if word.text in NULLS and (word.text or type(None) in kinds or not is_text(kind)):
        return None
    if is_text(kind):
        return word.text
    anything = not {int, float, bool} & {one for one in kinds if get_origin(one) is None}
    truths = TRUTHS | (OLD_TRUTHS if bool in kinds else {})
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
    """A text that OmegaConf takes as it stands: it would see interpolations and missing values in some."""
    if text.endswith("???") and not text[:-3].strip("\\"):
        return f"\\{text}"
    return INTERPOLATION.sub(lambda found: f"{2 * found[1]}\\${{", text)
