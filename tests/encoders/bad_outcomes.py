"""What must become of an odd file: decoded to something known, or set aside."""

from typing import Any, NamedTuple


class Decoded(NamedTuple):
    """Size (width and height, or samples and rate), and values: all pixels or one colour, samples, or a text."""

    size: tuple[int, int]
    value: Any
    within: float = 0


class SetAside(NamedTuple):
    """A pattern of the reason; the stage is `decode`."""

    reason: str


class File(NamedTuple):
    raw: Any
    outcome: Decoded | SetAside


def cut(raw: bytes, share: float, reason: str) -> File:
    """The first part of a file, which must be set aside."""
    return File(raw[: int(len(raw) * share)], SetAside(reason))
