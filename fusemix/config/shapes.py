"""What may be left out, since it can mean only one thing: a list's brackets, and the first word of a block.

Place in the flow: a tree of words -> the same, written out by the types of its settings. `splits: all` is [all],
`adapter=linear` is {name: linear}, and `compute=cpu` is {accelerator: cpu}.
"""

import dataclasses
from typing import Any

from fusemix.config.typed import NULLS, Whole, Word, inner_kind, kinds_of_fields
from fusemix.parts.kinds import LISTS, MAPPINGS, inside, is_text, settings_of

BARE = {"bare": True}
"""Metadata of a setting that is a text or a list of texts, and takes the arguments that are neither options nor
`name=value`."""
BARE_OR_FILES = {**BARE, "files": True}
"""The same of a setting that takes no .yaml files: these hold settings, as for other commands."""
SHORT = {"short": True}
"""Metadata of the setting that one word in place of its whole block stands for."""


def is_part(settings: Any) -> bool:
    """Whether a dataclass names a part and its options."""
    return dataclasses.is_dataclass(settings) and {field.name for field in dataclasses.fields(settings)} == {
        "name",
        "options",
    }


def _short_of(settings: Any) -> str | None:
    """The setting that one word stands for, in place of a dataclass of settings."""
    fields = dataclasses.fields(settings) if settings is not None else ()
    return next((field.name for field in fields if "short" in field.metadata), None)


def shaped(tree: Any, kind: Any, *, is_whole: bool = True) -> Any:
    """A tree with all that was left out.

    Args:
        tree: see Tree.
        kind: a type, as annotations give it.
        is_whole: nothing comes to it any more; else settings where a list of them is wanted stay as they are, since
            others may still join them.
    """
    if isinstance(tree, Word) and tree.tree is not None:
        whole = is_text(kind) and not inside(kind, LISTS if isinstance(tree.tree, list) else MAPPINGS)
        return tree if whole else tree._replace(tree=shaped(tree.tree, kind, is_whole=is_whole))
    if isinstance(tree, list):
        return [shaped(one, inner_kind(kind, LISTS), is_whole=is_whole) for one in tree]
    settings = settings_of(kind)
    is_word = isinstance(tree, Word) and (tree.is_quoted or tree.text not in NULLS)
    if is_word and (short := _short_of(settings)):
        return Whole({short: tree})
    if inside(kind, LISTS) and not is_text(kind) and (is_word or (isinstance(tree, dict) and not _takes_mapping(kind))):
        if not is_whole and (not is_word or is_part(settings_of(inner_kind(kind, LISTS)))):
            return shaped(tree, inner_kind(kind, LISTS), is_whole=False)
        return [shaped(tree, inner_kind(kind, LISTS), is_whole=is_whole)]
    if not isinstance(tree, dict):
        return tree
    kinds = kinds_of_fields(settings) if settings else dict.fromkeys(tree, inner_kind(kind, MAPPINGS))
    return {key: shaped(one, kinds.get(key, Any), is_whole=is_whole) for key, one in tree.items()}


def _takes_mapping(kind: Any) -> bool:
    return settings_of(kind) is not None or bool(inside(kind, MAPPINGS))
