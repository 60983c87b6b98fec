"""Spoken names: the same bits in any order and process, audible, and linked with the characters that `glyphs` has."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("espeakng_loader", reason="espeakng-loader, of the extra demo, is not installed")

from dataset_samples import captions_of

from fusemix.datasets import espeak
from fusemix.datasets.espeak import require_voices, speak
from fusemix.datasets.glyphs import glyphs
from fusemix.datasets.spoken_glyphs import as_spoken, spoken_glyphs
from fusemix.errors import DatasetError

SPLITS = ("train", "validation", "test")
VOICES = ["en-us+m3", "en+f3", "en-gb-x-rp+m5", "en-029+f4", "en-gb-scotland+m7", "en-us+f2"]
NAMES = ["x", "ampersand", "leftwards arrow with hook"]
SPEAK_ALL = f"""
import hashlib, sys
from fusemix.datasets.espeak import speak
order = [(name, voice) for voice in {VOICES} + ["en+whisper"] for name in {NAMES}]
heard = {{pair: hashlib.sha256(speak(*pair, 175).samples.tobytes()).hexdigest() for pair in order[::int(sys.argv[1])]}}
print("\\n".join(heard[pair] for pair in order))
"""


@pytest.fixture(scope="module")
def splits():
    return {split: spoken_glyphs(split=split, seed=1) for split in SPLITS}


@pytest.fixture(scope="module")
def sounds():
    return {(name, voice): speak(name, voice, 175).samples for name in NAMES for voice in VOICES}


def digest(samples):
    return hashlib.sha256(samples.tobytes()).hexdigest()


def test_each_split_speaks_the_characters_of_glyphs_in_voices_of_its_own(splits):
    heard = [set(pairs.left.table["voice"].to_pylist()) for pairs in splits.values()]
    assert sorted(set.union(*heard)) == sorted(VOICES)
    assert [len(voices) for voices in heard] == [2, 2, 2]
    for split, pairs in splits.items():
        seen = glyphs(split=split, seed=1)
        points = pairs.left.table["code_point"].to_pylist()
        assert points[::2] == points[1::2] == seen.left.table["code_point"].to_pylist()
        assert pairs.right.table["caption"].to_pylist() == seen.right.table["caption"].to_pylist()


def test_an_item_is_called_by_its_character_and_voice_and_linked_with_its_name(splits):
    captions = captions_of(splits["test"])
    assert captions["U+0026_en-us+f2"] == captions["U+0026_en-gb-scotland+m7"] == ["AMPERSAND"]


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("LATIN SMALL LETTER A WITH BREVE", "latin small letter A with breve"),
        ("BRAILLE PATTERN DOTS-1257", "braille pattern dots 1 2 5 7"),
        ("HEAVY TEARDROP-SPOKED ASTERISK", "heavy teardrop spoked asterisk"),
        ("LATIN SMALL LETTER LJ", "latin small letter lj"),
    ],
)
def test_letters_are_spelled_and_numbers_read_digit_by_digit(name, spoken):
    assert as_spoken(name) == spoken


def test_a_row_is_the_spoken_name_of_its_character_at_the_rate_that_is_asked_for():
    pairs = spoken_glyphs(split="test", seed=1, test_voices=["en"], rate=120)
    assert pairs.left.table["id"][0].as_py() == "U+0026_en"
    np.testing.assert_array_equal(pairs.left.read(0).samples, speak("ampersand", "en", 120).samples)


def test_two_processes_and_two_orders_give_the_same_bits(programs, sounds):
    one, other = (programs.run("-c", SPEAK_ALL, step) for step in ("1", "-1"))
    assert one.returncode == other.returncode == 0, one.stderr + other.stderr
    assert one.stdout == other.stdout
    assert one.stdout.split()[: len(sounds)] == [digest(sounds[name, voice]) for voice in VOICES for name in NAMES]


def test_threads_do_not_disturb_one_another(sounds):
    with ThreadPoolExecutor(4) as threads:
        heard = threads.map(lambda pair: digest(speak(*pair, 175).samples), list(sounds) * 2)
    assert list(heard) == [digest(samples) for samples in sounds.values()] * 2


def test_a_sound_is_neither_silent_nor_clipped_and_lasts_as_long_as_a_name_does(sounds):
    for pair, samples in sounds.items():
        assert 0.3 < np.abs(samples).max() < 1, pair
        assert 0.02 < samples.std() < 0.3, pair
        assert 0.3 < len(samples) / 22_050 < 6, pair
        assert abs(samples.mean()) < 0.01, pair


def test_a_longer_name_takes_longer_and_a_faster_rate_is_shorter(sounds):
    for voice in VOICES:
        lengths = [len(sounds[name, voice]) for name in NAMES]
        assert lengths == sorted(lengths)
    assert len(speak("ampersand", "en", 300).samples) < len(speak("ampersand", "en", 150).samples)


def test_every_voice_sounds_otherwise(sounds):
    for name in NAMES:
        assert len({digest(sounds[name, voice]) for voice in VOICES}) == len(VOICES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_voices": ["en-gb"]}, "espeak-ng has no voice 'en-gb'"),
        ({"test_voices": ["en+f22"]}, r"no variant 'f22'\. Did you mean 'f2'\?"),
        ({"test_voices": []}, r"test needs at least one voice, each once, not \[\]"),
        ({"test_voices": ["en", "en"]}, "each once"),
        ({"rate": 20}, "rate is 20, but espeak-ng speaks 80 to 450 words a minute"),
    ],
)
def test_what_cannot_be_spoken_is_refused(options, message):
    with pytest.raises(DatasetError, match=message):
        spoken_glyphs(split="test", **options)


def test_missing_data_of_the_package_are_named_and_how_to_get_them(tmp_path, monkeypatch):
    (tmp_path / "voices" / "!v").mkdir(parents=True)
    monkeypatch.setattr(espeak.espeakng_loader, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(DatasetError, match="cannot read its data in .* --force-reinstall espeakng-loader"):
        require_voices(["en"])
