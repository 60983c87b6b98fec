"""What a caption file says of a file besides its captions, in columns of its own.

Place in the flow: a row of a caption file -> text in the item table, by which an index can be filtered.
"""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

MOST_COLUMNS, LONGEST, MOST_CHARACTERS = 32, 500, 4_000
"""Columns of a row, characters of a text, and of all together; what is beyond is left out."""


def own_of(row: Mapping[Any, Any], known: Collection[Any]) -> str | None:
    """The texts, numbers and truths of a row under other names than those that are known, as the JSON of an object.

    Args:
        row: of a caption file.
        known: names of what is read from it anyway.

    Returns:
        None where there are none.
    """
    kept: dict[str, Any] = {}
    left = MOST_CHARACTERS
    for name, value in row.items():
        if name in known or not isinstance(name, str) or len(name) > LONGEST:
            continue
        value = value.strip() if isinstance(value, str) else value
        size = len(name) + len(str(value)) if _is_told(value) else left + 1
        if size <= left and len(kept) < MOST_COLUMNS:
            kept[name], left = value, left - size
    return json.dumps(kept, ensure_ascii=False) if kept else None


def _is_told(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 63)
