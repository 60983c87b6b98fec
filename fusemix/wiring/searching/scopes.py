"""Among which items a search looks: a modality, and filters.

Place in the flow: what was asked for -> Scope, a condition of the index's table.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fusemix.errors import QueryError
from fusemix.parts.registry import nearest
from fusemix.search.folder import Index
from fusemix.search.table import quoted

ANY, TEXT = "any", "text"
"""Modality that stands for all of them, and that of captions."""


class Scope(NamedTuple):
    """What is looked among.

    Attributes:
        modalities: of the items.
        where: what must hold of them to the table, modalities included; None looks among all items.
    """

    modalities: tuple[str, ...]
    where: str | None


def everything(index: Index) -> Scope:
    """All items of an index."""
    return Scope(tuple(index.counts), None)


def scope_of(index: Index, modality: str | None, given: Mapping[str, Any], *, is_text: bool) -> Scope:
    """What is looked among.

    Args:
        index: to search.
        modality: of what is found; `any`; or None: any, but no texts where a text asks and there is something else,
            since captions are nearer to words than what they are captions of.
        given: filters by columns of the index; see search/filters.py.
        is_text: whether a text asks.

    Raises:
        QueryError: the index holds no such items, or cannot be filtered so.
    """
    held = tuple(index.counts)
    if modality not in (None, ANY, *held):
        raise QueryError(
            f"the index holds no {modality} items, but {' and '.join(held)}.{nearest(str(modality), [*held, ANY])}"
        )
    wanted = tuple(one for one in held if modality in (None, ANY, one))
    if modality is None and is_text:
        wanted = tuple(one for one in held if one != TEXT) or held
    conditions = [] if len(wanted) == len(held) else [f"modality IN ({', '.join(map(quoted, wanted))})"]
    conditions += filter(None, [index.condition(given)])
    return Scope(wanted, " AND ".join(conditions) or None)
