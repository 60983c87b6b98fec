"""Pictures of words in any script: what installed fonts can draw is drawn, what they cannot is said once."""

import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image

from fusemix.reports.classes.picture import draw_classes
from fusemix.reports.fonts import INSTEAD, OWN, drawable
from fusemix.reports.page.data import Card, FoundItem, Shown
from fusemix.reports.retrieval.picture import draw_examples

DOG = "犬が走る"
MIXED = ["a dog", "一只狗", DOG, "كلب يركض", "😀 👩‍💻 ❤️", "שלום", "tab\there", "half \ud83d a pair"]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def font_of_squares(tmp_path):
    """A font that draws each letter of DOG as a black square; matplotlib knows it for the time of a test."""
    pen = TTGlyphPen(None)
    for step, corner in enumerate([(0, 0), (0, 1000), (1000, 1000), (1000, 0)]):
        (pen.lineTo if step else pen.moveTo)(corner)
    pen.closePath()
    square, nothing = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square" for letter in DOG})
    builder.setupGlyf({".notdef": nothing, "square": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Noto Sans of Squares", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=1000, usWeightClass=400)
    builder.setupPost()
    builder.save(tmp_path / "squares.ttf")
    known = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(tmp_path / "squares.ttf")
    yield "Noto Sans of Squares"
    font_manager.fontManager.ttflist[:] = known


def card(*texts):
    query, *found = (Shown(str(place), text, "") for place, text in enumerate(texts))
    return Card("best", query, 1, [FoundItem(item, 0.5, is_linked=False) for item in found])


def darkness(path):
    with Image.open(path) as picture:
        return int((np.asarray(picture.convert("L")) < 40).sum())


def test_common_scripts_need_no_further_font():
    with drawable(["a dog", "собака", "كلب يركض", "שלום", "σκύλος $x_1$"]) as fonts:
        assert fonts.families == [OWN]
        assert fonts.told("examples.png") == ""
        assert fonts.text("كلب\tיש") == "كلب יש"


def test_what_the_own_font_lacks_is_drawn_by_an_installed_one_that_has_it(tmp_path, font_of_squares):
    with drawable([DOG]) as fonts:
        assert font_of_squares in fonts.families
        assert fonts.lost == ""
    assert draw_examples(tmp_path / "with.png", [card("a dog", DOG)], "title") == ""
    assert draw_examples(tmp_path / "without.png", [card("a dog", "")], "title") == ""
    side = 8 / 72 * 110  # of a letter, in pixels
    assert darkness(tmp_path / "with.png") - darkness(tmp_path / "without.png") == pytest.approx(4 * side**2, rel=0.25)


def test_what_no_font_has_is_a_box_and_is_said_in_one_sentence(tmp_path):
    never = "\N{CUNEIFORM SIGN A}\N{CUNEIFORM SIGN AB}"
    told = draw_examples(tmp_path / "examples.png", [card("a dog", never), card(never, "a dog")], f"title {never[0]}")
    assert told.startswith(f"examples.png shows {INSTEAD} for 2 characters that no installed font can draw there")
    assert never[0] in told
    assert told.count(". ") == 0
    with drawable([never]) as fonts:
        assert fonts.text(f"x{never}y") == f"x{INSTEAD}{INSTEAD}y"


def test_joiners_selectors_and_halves_of_pairs_are_no_characters_to_be_seen():
    with drawable(MIXED) as fonts:
        assert fonts.text("half \ud83d a pair") == "half  a pair"
        assert fonts.text("\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}") == "\N{HEAVY BLACK HEART}"
        assert not set(fonts.lost) & {"\N{ZERO WIDTH JOINER}", "\N{VARIATION SELECTOR-16}", "\ud83d"}


def test_no_picture_makes_matplotlib_warn(tmp_path):
    draw_examples(tmp_path / "examples.png", [card(*MIXED)], DOG)
    draw_classes(tmp_path / "classes.png", MIXED, np.linspace(0, 1, len(MIXED)), np.arange(len(MIXED)) + 1, DOG)
    assert darkness(tmp_path / "classes.png") > 100


def test_a_long_text_without_spaces_stays_in_its_frame(tmp_path, font_of_squares):
    draw_examples(tmp_path / "long.png", [card("", DOG * 30)], "")
    with Image.open(tmp_path / "long.png") as picture:
        drawn = np.asarray(picture.convert("L")) < 40
    columns = np.flatnonzero(drawn[80:].any(axis=0))
    assert np.ptp(columns[columns > drawn.shape[1] / 2]) < 0.4 * drawn.shape[1]
