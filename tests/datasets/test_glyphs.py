import unicodedata

import numpy as np
import pytest
from dataset_samples import captions_of, contents_of
from PIL import Image

from fusemix.datasets.glyphs import draw, glyphs, split_code_points
from fusemix.errors import DatasetError

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def splits():
    return {split: glyphs(split=split) for split in SPLITS}


def ids(pairs):
    return pairs.left.table["id"].to_pylist()


def ink(character):
    """Rows and columns of the darker half of the pixels."""
    rows, columns = np.nonzero(np.asarray(draw(character).convert("L")) < 128)
    return rows, columns


def test_validation_and_test_hold_500_characters_each(splits):
    assert [len(splits[split].left) for split in ("validation", "test")] == [500, 500]


def test_there_are_about_5570_characters_in_all(splits):
    # The exact number follows the Unicode version of Python, which names the characters.
    assert 5400 < sum(len(pairs.left) for pairs in splits.values()) < 5800


def test_splits_are_disjoint(splits):
    everything = [item for pairs in splits.values() for item in ids(pairs)]
    assert len(set(everything)) == len(everything)


def test_a_caption_is_the_official_name_of_the_code_point(splits):
    for pairs in splits.values():
        assert captions_of(pairs) == {item: [unicodedata.name(chr(int(item[2:], 16)))] for item in ids(pairs)}


def test_letters_digits_punctuation_and_symbols_are_there_but_no_spaces_or_marks(splits):
    points = {int(item[2:], 16) for pairs in splits.values() for item in ids(pairs)}
    assert {ord(character) for character in "aZ7,€Ωж∑"} <= points
    assert not {0x20, 0xA0, 0x0301, 0x200B, 0xFFFF} & points


def test_the_same_seed_gives_the_same_split(splits):
    assert ids(glyphs(split="test", seed=0)) == ids(splits["test"])


def test_another_seed_gives_another_split(splits):
    shared = set(ids(glyphs(split="test", seed=1))) & set(ids(splits["test"]))
    assert len(shared) < 100  # 500 · 500 / 5570 ≈ 45 by chance


def test_the_split_of_a_character_does_not_depend_on_the_order_of_the_font():
    points = list(range(0x100, 0x1000))
    assert split_code_points(points[::-1], "test", 3) == split_code_points(points, "test", 3)


@pytest.fixture(scope="module")
def pictures(splits):
    return {item: shown for pairs in splits.values() for item, shown in contents_of(pairs.left).items()}


def test_pictures_are_64_by_64_rgb(pictures):
    assert {(type(shown), shown.size, shown.mode) for shown in pictures.values()} == {(Image.Image, (64, 64), "RGB")}


def test_no_picture_is_blank_but_those_of_the_two_characters_without_ink(pictures):
    blank = {item for item, shown in pictures.items() if np.asarray(shown).min() > 127}
    # BRAILLE PATTERN BLANK, and OBJECT REPLACEMENT CHARACTER, which DejaVu Sans leaves empty.
    assert blank == {"U+2800", "U+FFFC"}


def test_no_character_is_cut_by_the_edge_of_its_picture(pictures):
    for item, shown in pictures.items():
        dark = np.asarray(shown.convert("L")) < 128
        assert not (dark[[0, -1]].any() or dark[:, [0, -1]].any()), item


def test_pictures_are_black_on_white():
    pixels = np.asarray(draw("■"))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[32, 32].tolist() == [0, 0, 0]


@pytest.mark.parametrize("character", "AI0|―■")
def test_a_symmetric_character_stands_in_the_middle(character):
    _, columns = ink(character)
    assert columns.mean() == pytest.approx(31.5, abs=1)


def test_height_tells_a_comma_from_an_apostrophe():
    comma, apostrophe = ink(",")[0], ink("'")[0]
    assert apostrophe.max() < comma.min()


def test_a_letter_without_descender_ends_where_the_others_end():
    assert {ink(character)[0].max() for character in "AEHIx"} == {ink("M")[0].max()}


def test_a_character_wider_than_the_picture_is_drawn_smaller():
    per_mille, per_ten_thousand = ink("‰"), ink("‱")  # the second has one ring more
    assert np.ptp(per_ten_thousand[0]) < np.ptp(per_mille[0])
    assert 48 < np.ptp(per_ten_thousand[1]) < 64


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(DatasetError, match=r"^glyphs has no split 'all'; it has: train, validation, test\.$"):
        glyphs(split="all")


def test_the_revision_names_the_font_and_the_unicode_version(splits):
    assert f"Unicode {unicodedata.unidata_version}" in splits["test"].revision
    assert "DejaVu Sans of matplotlib" in splits["test"].revision
