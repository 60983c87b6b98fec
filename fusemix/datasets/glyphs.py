"""Characters of a font and their official names: real pairs that need no download.

Place in the flow: DejaVu Sans (shipped with matplotlib) and `unicodedata` -> PairSet.

Every letter, number, punctuation mark and symbol of the font that has a name is drawn as a
64×64 picture. Some characters look alike (Latin A, Greek Alpha), so no model reaches 100 %.
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cache

import matplotlib
import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from fusemix.datasets.pairs import pair_captions
from fusemix.interfaces import PairSet
from fusemix.split_names import require_known

SIZE = 64
FONT_SIZE = 40
BASELINE = 46
HELD_OUT = 500
"""Characters in validation, and in test."""


@dataclass(frozen=True)
class GlyphReader:
    """Draws a character, black on white, centred on its outline."""

    code_points: pa.ChunkedArray

    def __call__(self, row: int) -> Image.Image:
        """Draw the character of a row."""
        return draw(chr(self.code_points[row].as_py()))


def glyphs(*, split: str, seed: int = 0) -> PairSet:
    """Pictures of characters, linked to their Unicode names.

    Args:
        split: `train`, `validation` (500) or `test` (500).
        seed: of the split, which is a hash of the code point.

    Raises:
        DatasetError: there is no such split.
    """
    split = require_known("glyphs", split, ("train", "validation", "test"))
    points = split_code_points(named_code_points(), split, seed)
    media = pa.table({"id": [f"U+{point:04X}" for point in points], "code_point": points})
    return pair_captions(
        dataset="glyphs",
        revision=f"DejaVu Sans of matplotlib {matplotlib.__version__}, Unicode {unicodedata.unidata_version}",
        split=split,
        modality="image",
        media=media,
        reader=lambda table: GlyphReader(table["code_point"]),
        captions=[(row, unicodedata.name(chr(point))) for row, point in enumerate(points)],
    )


def split_code_points(points: list[int], split: str, seed: int) -> list[int]:
    """The code points of a split: all in the order of a seeded hash, cut at 500 and 1,000; then sorted."""

    def position(point: int) -> bytes:
        return hashlib.sha256(f"{seed}:{point}".encode()).digest()

    shuffled = sorted(points, key=position)
    cuts = {
        "test": slice(None, HELD_OUT),
        "validation": slice(HELD_OUT, 2 * HELD_OUT),
        "train": slice(2 * HELD_OUT, None),
    }
    return sorted(shuffled[cuts[split]])


@cache
def named_code_points() -> list[int]:
    """Code points that the font draws, and that are a named letter, number, punctuation mark or symbol."""
    from fontTools.ttLib import TTFont

    points = TTFont(_font_path()).getBestCmap() or {}
    return sorted(p for p in points if unicodedata.category(chr(p))[0] in "LNPS" and unicodedata.name(chr(p), ""))


def draw(character: str) -> Image.Image:
    """One character as a 64×64 RGB picture; wide ones are drawn smaller so that they fit."""
    picture = Image.new("L", (SIZE, SIZE), 255)
    font = next((_font(size) for size in range(FONT_SIZE, 8, -4) if _fits(_font(size), character)), _font(8))
    left, top, right, bottom = font.getbbox(character, anchor="ls")
    # Horizontally centred; vertically on one baseline, since height tells a comma from a quote.
    x = np.clip((SIZE - (left + right)) / 2, -left, SIZE - right)
    y = np.clip(BASELINE, -top, SIZE - bottom)
    ImageDraw.Draw(picture).text((float(x), float(y)), character, font=font, fill=0, anchor="ls")
    return picture.convert("RGB")


def _fits(font: ImageFont.FreeTypeFont, character: str) -> bool:
    left, top, right, bottom = font.getbbox(character)
    return right - left <= SIZE and bottom - top <= SIZE


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_path(), size, layout_engine=ImageFont.Layout.BASIC)


def _font_path() -> str:
    return f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
