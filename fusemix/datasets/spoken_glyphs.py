"""The names of characters, spoken: real words in several voices that need no download.

Place in the flow: the splits of glyphs.py -> names -> espeak.py -> PairSet of sounds and the names as text.

A split holds the same characters as that of `glyphs` with the same seed, each in all voices of the split; both tables
have a column `code_point`. Voices of validation and test are other ones than those of training.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import matplotlib
import pyarrow as pa

from fusemix.contents import Waveform
from fusemix.datasets import espeak, glyphs
from fusemix.datasets.pairs import pair_captions
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet
from fusemix.split_names import require_known

WORD = re.compile(r"[A-Z]+|\d")


@dataclass(frozen=True)
class SpokenReader:
    """Speaks the name of the character of a row."""

    code_points: pa.ChunkedArray
    voices: pa.ChunkedArray
    rate: int

    def __call__(self, row: int) -> Waveform:
        """Speak the name of a row, in its voice."""
        name = unicodedata.name(chr(self.code_points[row].as_py()))
        return espeak.speak(as_spoken(name), self.voices[row].as_py(), self.rate)


def spoken_glyphs(
    *,
    split: str,
    seed: int = 0,
    voices: Sequence[str] = ("en-us+m3", "en+f3"),
    validation_voices: Sequence[str] = ("en-gb-x-rp+m5", "en-029+f4"),
    test_voices: Sequence[str] = ("en-gb-scotland+m7", "en-us+f2"),
    rate: int = 175,
) -> PairSet:
    """Names of characters as sounds, linked to the same names as text.

    Args:
        split: `train`, `validation` or `test`, each in voices of its own.
        seed: of the split, as for `glyphs`.
        voices: of espeak-ng, in which the names of training are spoken.
        validation_voices: those of validation.
        test_voices: those of test.
        rate: words a minute.

    Raises:
        DatasetError: there is no such split or voice, a split is without voices, or the rate is beyond espeak-ng's.
    """
    by_split = {"train": voices, "validation": validation_voices, "test": test_voices}
    split = require_known("spoken_glyphs", split, by_split)
    spoken_in = by_split[split]
    if not spoken_in or len(set(spoken_in)) < len(spoken_in):
        raise DatasetError(f"spoken_glyphs: {split} needs at least one voice, each once, not {list(spoken_in)}.")
    if not espeak.SLOWEST <= rate <= espeak.FASTEST:
        raise DatasetError(
            f"spoken_glyphs: rate is {rate}, but espeak-ng speaks {espeak.SLOWEST} to {espeak.FASTEST} words a minute."
        )
    espeak.require_voices(spoken_in)
    points = glyphs.split_code_points(glyphs.named_code_points(), split, seed)
    rows = list(product(points, spoken_in))
    media = pa.table(
        {
            "id": [f"U+{point:04X}_{voice}" for point, voice in rows],
            "code_point": [point for point, _ in rows],
            "voice": [voice for _, voice in rows],
        }
    )
    return pair_captions(
        dataset="spoken_glyphs",
        revision=f"espeak-ng {espeak.version()}, {rate} words a minute, DejaVu Sans of matplotlib "
        f"{matplotlib.__version__}, Unicode {unicodedata.unidata_version}",
        split=split,
        modality="audio",
        media=media,
        reader=lambda table: SpokenReader(table["code_point"], table["voice"], rate),
        captions=[(row, unicodedata.name(chr(point))) for row, (point, _) in enumerate(rows)],
    )


def as_spoken(name: str) -> str:
    """A name as espeak-ng is to read it: letters by their names, numbers digit by digit, and words as words.

    Of capitals it spells what looks like an abbreviation to it, and it takes a small `a` for the article.
    """
    return " ".join(word if len(word) == 1 else word.lower() for word in WORD.findall(name))
