"""Text and tables as Markdown shows them letter for letter: the one place that escapes for it.

Place in the flow: names of sets, runs, classes and items -> reports and model cards.
"""

import re
from collections.abc import Sequence

SPECIAL = re.compile(r"[\\`*\[\]<>|]|(?<![^\W_])_|_(?![^\W_])")
"""An underline within a word is one, and begins nothing."""


def escaped(text: object) -> str:
    r"""Text that cannot end a cell of a table, nor begin an emphasis, a link or a tag; in one line.

    >>> escaped("cup | mug")
    'cup \\| mug'
    """
    return SPECIAL.sub(lambda found: f"\\{found[0]}", " ".join(str(text).split()))


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose first column is text and whose others are figures; cells are Markdown already."""
    return [
        "| " + " | ".join(header) + " |",
        "|---" + "|---:" * (len(header) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
