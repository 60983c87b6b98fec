"""Text files as people have them: UTF-8, or what a byte order mark says; what else they are is said with its remedy.

Place in the flow: a file of captions, ids or names -> its text.

A byte order mark of UTF-16 leaves no doubt. Latin-1 and its like are guesses, since every file of bytes can be read so:
nothing is decoded by a guess, and the message names the command that converts the file.
"""

import codecs
import shlex
from pathlib import Path
from typing import TextIO

MARKS = (  # in this order: UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
PRINTED_BY_WINDOWS = range(0x80, 0xA0)
"""Bytes that are control characters in Latin-1, and quotes, dashes and the euro sign in Windows-1252."""


def encoding_of(start: bytes) -> str:
    """How a file that begins so is encoded, by its byte order mark; without one, UTF-8.

    Args:
        start: four bytes, or all of a shorter file.
    """
    # "utf-8-sig" also reads plain UTF-8; spreadsheets put a byte order mark first.
    return next((name for mark, name in MARKS if start.startswith(mark)), "utf-8-sig")


def open_text(path: Path) -> TextIO:
    """A file opened to read its text, line by line, whatever ends them.

    Raises:
        UnicodeDecodeError: now or while it is read: it is not text in its encoding; see `why_no_text`.
    """
    with path.open("rb") as file:
        start = file.read(4)
    encoding = encoding_of(start)
    if b"\0" in start and encoding == "utf-8-sig":  # it would be read as letters with nothing between them
        raise UnicodeDecodeError("utf-8", start, start.index(b"\0"), start.index(b"\0") + 1, "a null character")
    return path.open(encoding=encoding)


def read_text(path: Path) -> str:
    """All of a file's text.

    Raises:
        UnicodeDecodeError: as `open_text`.
    """
    with open_text(path) as file:
        return file.read()


def decoded(content: bytes) -> str:
    """The text of a file's bytes; its ends of lines stay as they are.

    Raises:
        UnicodeDecodeError: it is not text in its encoding.
    """
    return content.decode(encoding_of(content[:4]))


def why_no_text(path: Path) -> str:
    """What a file that could not be read as text holds, and how to convert it: words after "cannot be read:"."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if (encoding := encoding_of(start)) != "utf-8-sig":
            return f"its first bytes say {encoding.upper()}, and what follows is none. It is cut off; write it again."
        if b"\0" in start:
            order = "be" if start[:1] == b"\0" else "le"
            return f"it looks like UTF-16 without a byte order mark. If it is: {_conversion(path, f'utf-16{order}')}"
        line, wrong = 0, b""
        others: set[int] = set()
        for number, content in enumerate(file, start=1):
            try:
                content.decode()
            except UnicodeDecodeError as error:
                line, wrong = line or number, wrong or error.object[error.start : error.start + 1]
                others.update(content)
    guess = "windows-1252" if others & set(PRINTED_BY_WINDOWS) else "latin1"
    holds = f"line {line:,} holds the byte 0x{wrong.hex()}, which is not UTF-8"
    return f"{holds}. It may be in {guess}; if it is: {_conversion(path, guess)}"


def _conversion(path: Path, encoding: str) -> str:
    goal = path.with_name(f"{path.stem}-utf8{path.suffix}")
    return f"iconv -f {encoding} -t utf-8 {shlex.quote(str(path))} > {shlex.quote(str(goal))}"
