"""What a value of a caption file, a table or a hub's column says: captions, a name, a split, or nothing.

Place in the flow: values as JSON, CSV and Arrow give them -> captions and names; every reader of captions asks here.

One rule for all layouts. A caption is text: a number or a truth value in its place is refused, since a column of labels
or of scores was taken for captions then. null and NaN are a missing value. A list holds several captions, also where
a table holds it written out as text: `["a cat", "a dog"]`, or as Python or numpy print it, `['a cat' 'a dog']`.
"""

import ast
import io
import json
import posixpath
import tokenize
from collections.abc import Sequence
from typing import Any

OBJECT_KEYS = ("raw", "caption", "text", "sentence")
"""Where an object in a list of captions keeps its text, as in Karpathy's layout and COCO's."""
BRACKETS = {"[": "]", "{": "}", "(": ")"}
LONGEST_LIST = 100_000
"""Characters of a text that may be a list written out."""


def is_missing(value: Any) -> bool:
    """Whether a value is null or NaN."""
    return value is None or (isinstance(value, float) and value != value)


def captions_in(value: Any) -> list[str]:
    """The captions that a value holds; a missing one is empty text, an empty list has none.

    Raises:
        ValueError: it holds something else; the message continues "the caption is".
    """
    if isinstance(value, str):
        return _written_out(value) if value.lstrip()[:1] in BRACKETS else [value]
    if isinstance(value, list | tuple):
        return [_one(element) for element in value]
    return [_one(value)]


def _one(value: Any) -> str:
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if isinstance(value, dict):
        key = next((key for key in OBJECT_KEYS if isinstance(value.get(key), str) or key in value), None)
        if key is None or not (isinstance(value[key], str) or is_missing(value[key])):
            raise ValueError(f"an object without text under {', '.join(OBJECT_KEYS[:-1])} or {OBJECT_KEYS[-1]}")
        return value[key] or ""
    if isinstance(value, int | float):
        raise ValueError(f"the {'truth value' if isinstance(value, bool) else 'number'} {json.dumps(value)}")
    raise ValueError("a list within a list" if isinstance(value, list | tuple) else f"of type {type(value).__name__}")


def _written_out(text: str) -> list[str]:
    """The captions of a list or object that was written out as text; any other text is one caption, such as "[1]"."""
    shown = text.strip()
    if len(shown) > LONGEST_LIST or BRACKETS.get(shown[0]) != shown[-1]:
        return [text]
    for parse in (json.loads, _python_texts, ast.literal_eval):
        try:
            found = parse(shown)
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            continue
        if isinstance(found, dict) and found:
            return [_one(found)]
        if isinstance(found, list) and (not found or any(map(_holds_text, found))):
            return [_one(one) for one in found]
    return [text]


def _holds_text(value: Any) -> bool:
    return isinstance(value, str | dict) or (isinstance(value, list | tuple) and any(map(_holds_text, value)))


def _python_texts(text: str) -> list[str | None]:
    """A list of texts as Python or numpy prints it; numpy puts no commas, and Python would join such texts to one."""
    found: list[str | None] = []
    marks: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and token.string[0] in "'\"":
            found.append(ast.literal_eval(token.string))
        elif token.type == tokenize.NAME and token.string in ("None", "nan"):
            found.append(None)
        elif token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER):
            marks.append(token.string)
    if set(marks[1:-1]) - {","} or (text[0] == "(" and "," not in marks):
        raise ValueError("not a list of texts")
    return found


def name_in(value: Any) -> str:
    """A file's name or an id; empty where the value is missing or blank, and so names nothing.

    Raises:
        ValueError: it is no name; the message says what it is.
    """
    if isinstance(value, str):
        return value if value.strip() else ""
    if is_missing(value):
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a {type(value).__name__}, {str(value)[:40]}")
    return str(value)


def id_text(value: Any) -> str:
    """An id as text; empty where it is missing or blank, and so identifies nothing."""
    return name_in(value) if value is None or isinstance(value, str | float) else str(value)


def split_in(value: Any) -> str | None:
    """The name of a split, which may be a number; None where there is none.

    Raises:
        ValueError: as for `name_in`.
    """
    if isinstance(value, float) and value.is_integer():  # as a table library writes 1 where other rows are empty
        value = int(value)
    return name_in(value) or None


def plain_path(name: str) -> str:
    """A path without detours, so that `./1.png`, `1.png` and `sub/../1.png` are one file."""
    return posixpath.normpath(name) if "./" in name or "//" in name else name


def unique_pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of some keys and values, for `json.loads`; of two equal keys it would take the last without a word.

    Raises:
        ValueError: a key occurs twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in an object")
    return found
