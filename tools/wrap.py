"""Wrap the prose of Markdown files at 120 columns; tables, code and headings stay as they are.

    python tools/wrap.py docs CONTRIBUTING.md            writes the files that have longer lines
    python tools/wrap.py --check docs CONTRIBUTING.md    names them, and ends with 1

Place in the flow: docs/ -> here -> docs/. Paragraphs without a line that is too long are not touched.
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

WIDTH = 120
GLUE = "\N{WORD JOINER}"
"""Stands for a space that no line may end at."""
MOST_GLUED = 80
"""Characters of code that are kept on one line."""
ITEM = re.compile(r"^(\s*)(?:([-*+]|\d+[.)])\s+)?")
VERBATIM = re.compile(r"^\s*(?:$|\||#|<|:::|!!!|\[[^\]]+\]: )|^---+$|(?:  |\\)$")
"""Lines that stand for themselves; the last are those with a hard break."""
CODE = re.compile(r"(`+).+?\1", re.DOTALL)
MARKS = re.compile(r" (?=(?:[-+*#>|=]+|\d+[.)])(?: |$))")
"""A space before what would begin something else at the start of a line."""


def wrapped(text: str) -> str:
    """A Markdown text whose prose is at most 120 columns wide, as far as its words allow."""
    blocks = _blocks(text.splitlines(keepends=True))
    return "".join(line for block, is_prose in blocks for line in (_wrapped(block) if is_prose else block))


def _blocks(lines: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
    """Paragraphs and items of lists, each whole, and every other line by itself; with whether they are prose."""
    block: list[str] = []
    fence = ""
    for line in lines:
        mark = re.match(r"\s*(```+|~~~+)", line)
        is_code = bool(fence or mark)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        is_verbatim = is_code or VERBATIM.search(line.rstrip("\n")) is not None
        begins = re.match(r"\s*(?:[-*+]|\d+[.)])\s", line) is not None
        if block and (is_verbatim or begins):
            yield block, True
            block = []
        if is_verbatim:
            yield [line], False
        else:
            block.append(line)
    if block:
        yield block, True


def _wrapped(block: list[str]) -> list[str]:
    if all(len(line.rstrip("\n")) <= WIDTH for line in block):
        return block
    begun = ITEM.match(block[0])
    assert begun, "it matches every line"
    indent = " " * len(begun[0])
    text = " ".join(line.strip() for line in block)[len(begun[0].strip()) :].strip()
    glued = CODE.sub(lambda found: found[0].replace(" ", GLUE) if len(found[0]) <= MOST_GLUED else found[0], text)
    lines = textwrap.wrap(
        MARKS.sub(GLUE, glued),
        WIDTH,
        initial_indent=begun[0],
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(GLUE, " ") + "\n" for line in lines]


def _files(paths: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def main(arguments: Sequence[str]) -> int:
    """Wrap, or say what is to be wrapped; returns an exit code."""
    is_check = "--check" in arguments
    changed = []
    for path in _files([one for one in arguments if one != "--check"]):
        text = path.read_text(encoding="utf-8")
        if (new := wrapped(text)) != text:
            changed.append(path)
            if not is_check:
                path.write_text(new, encoding="utf-8")
    for path in changed:
        print(f"{path}: {'has lines of more than' if is_check else 'wrapped at'} {WIDTH} columns")
    return int(is_check and bool(changed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
