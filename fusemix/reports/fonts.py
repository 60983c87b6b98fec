"""Fonts for matplotlib's pictures: captions and names may be in any script.

Place in the flow: texts that a picture shows -> `drawable` -> the pictures of this package.
Not here: pages, whose fonts are the browser's.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import NamedTuple

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

OWN = "DejaVu Sans"
"""Matplotlib brings it along; it holds Latin, Greek, Cyrillic, Hebrew and Arabic."""
INSTEAD = "\N{WHITE SQUARE}"
"""For a character that no font has; OWN has it."""
SHAPELESS = ("Color Emoji", "Last Resort")
"""Fonts of such names hold pictures that matplotlib cannot draw, or a box for every character there is."""
REGULAR = (400, "normal", "regular", "book", "medium", 500)
SHOWN_LOST = 5


class Drawable(NamedTuple):
    """How texts are drawn.

    Attributes:
        families: of fonts; what the first lacks is taken from the next.
        lost: characters that none of them has, in order.
    """

    families: list[str]
    lost: str

    def text(self, words: str) -> str:
        """The words as they are drawn: all space alike, nothing that has no shape, and INSTEAD for what is lost."""
        return "".join(self._drawn(letter) for letter in words if _has_shape(letter))

    def _drawn(self, letter: str) -> str:
        if letter in self.lost:
            return INSTEAD
        return " " if letter.isspace() and letter != "\n" else letter

    def told(self, name: str) -> str:
        """One sentence on what is lost, or nothing.

        Args:
            name: of the picture.
        """
        if not self.lost:
            return ""
        some = " ".join(self.lost[:SHOWN_LOST])
        return (
            f"{name} shows {INSTEAD} for {len(self.lost):,} characters that no installed font can draw there, such as "
            f"{some}; install a font that has them, such as Noto Sans CJK or Noto Emoji, and run this again."
        )


@contextmanager
def drawable(texts: Iterable[str]) -> Iterator[Drawable]:
    """Matplotlib's settings under which texts are drawn by installed fonts that have their characters.

    Args:
        texts: all that the picture is going to show.
    """
    wanted = {letter for text in texts for letter in text if _has_shape(letter) and not letter.isspace()}
    families, missing = [OWN], wanted - _letters(font_manager.findfont(OWN))
    for name, path in _installed() if missing else ():
        if found := missing & _letters(path):
            families.append(name)
            missing -= found
            if not missing:
                break
    with mpl.rc_context({"font.family": families}):
        yield Drawable(families, "".join(sorted(missing)))


def _has_shape(letter: str) -> bool:
    """Whether something of a character is to be seen: no control, no joiner, no selector of a variant, no surrogate."""
    is_selector = "\N{VARIATION SELECTOR-1}" <= letter <= "\N{VARIATION SELECTOR-16}"
    return letter.isspace() or not (is_selector or unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn"))


@cache
def _letters(path: str) -> frozenset[str]:
    """All characters of a font; none of one that matplotlib cannot draw by."""
    with suppress(OSError, RuntimeError, ValueError):
        font = FT2Font(path)
        if font.scalable:
            return frozenset(map(chr, font.get_charmap()))
    return frozenset()


def _installed() -> list[tuple[str, str]]:
    """Name and path of upright fonts of common weight, those without serifs first.

    Matplotlib keeps a list of fonts between runs; those that were installed since are added to it.
    """
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        with suppress(Exception):  # whatever a broken file does to the parser: it is no font for us
            font_manager.fontManager.addfont(path)
    fonts = {
        (
            not entry.name.startswith("Noto Sans"),
            "Sans" not in entry.name,
            "Mono" in entry.name,
            entry.name,
            entry.fname,
        )
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in REGULAR and not any(name in entry.name for name in SHAPELESS)
    }
    return [(name, path) for *_, name, path in sorted(fonts)]
