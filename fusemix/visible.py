"""Text that may hold anything, for a terminal: what would be obeyed is written out.

Place in the flow: captions, ids, paths, reasons -> what is printed. The console of progress.py does it for all that it
prints; `shown` is for what must stay on one line.
"""

import re

UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, breaks or turns round a line, or cannot be written: C0 but tab and line feed, C1,
separators of lines, overrides of direction, and bytes of a name that are no UTF-8."""


def visible(text: str) -> str:
    r"""Text whose control characters are written out; lines stay lines.

    >>> visible("a\x1b[2J")
    'a\\x1b[2J'
    """
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shown(text: object) -> str:
    """What comes from data, as one line: a caption, an id, a path, a reason."""
    return visible(str(text)).replace("\n", "\\n").replace("\t", "\\t")


def visible_json(text: str) -> str:
    """JSON whose control characters are escaped, those too that JSON would leave: it holds them in texts alone."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
