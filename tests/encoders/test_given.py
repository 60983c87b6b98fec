"""What people have at hand becomes what a data set hands over."""

import io

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from fusemix.encoders.decoding import decode
from fusemix.encoders.given import Given, listed, raw_of
from fusemix.errors import EncoderError
from fusemix.interfaces import Waveform

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
SAMPLES = np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


def wav(samples, rate):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["path", "text path", "bytes", "pil", "uint8", "float", "torch"])
def test_a_picture_is_the_same_however_it_is_given(tmp_path, kind):
    path = tmp_path / "a.png"
    path.write_bytes(png(PIXELS))
    given = {
        "path": path,
        "text path": str(path),
        "bytes": png(PIXELS),
        "pil": Image.fromarray(PIXELS),
        "uint8": PIXELS,
        "float": PIXELS / 255,
        "torch": torch.from_numpy(PIXELS),
    }[kind]
    assert (np.asarray(decode("image", raw_of("image", given))) == PIXELS).all()
    assert listed("image", given) == ([given], True)


@pytest.mark.parametrize("array", [PIXELS[:, :, 0], PIXELS[:, :, :1], PIXELS[:, :, 0] / 255])
def test_grey_pictures_have_one_channel_or_none(array):
    wanted = np.repeat(PIXELS[:, :, :1], 3, axis=2)
    assert (np.asarray(decode("image", raw_of("image", array))) == wanted).all()


def test_transparent_pictures_stand_on_white():
    clear = np.zeros((4, 4, 4), np.uint8)
    assert (np.asarray(decode("image", raw_of("image", clear))) == 255).all()


@pytest.mark.parametrize("kind", ["path", "bytes", "waveform", "pair", "array", "torch"])
def test_a_sound_is_the_same_however_it_is_given(tmp_path, kind):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(SAMPLES, 8000))
    given = {
        "path": path,
        "bytes": wav(SAMPLES, 8000),
        "waveform": Waveform(SAMPLES, 8000),
        "pair": (SAMPLES, 8000),
        "array": SAMPLES,
        "torch": torch.from_numpy(SAMPLES),
    }[kind]
    found = decode("audio", raw_of("audio", given, 8000))
    assert found.sample_rate == 8000
    np.testing.assert_array_equal(found.samples, SAMPLES)
    assert listed("audio", given)[1]


def test_sounds_in_16_bits_are_scaled():
    found = raw_of("audio", np.array([-32768, 0, 16384], np.int16), 8000)
    assert found.samples.tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("modality", "value", "message"),
    [
        ("image", PIXELS.transpose(2, 0, 1), r"shape \(3, 20, 30\) is no picture .*array.transpose\(1, 2, 0\)"),
        ("image", PIXELS[:0], "is no picture"),
        ("image", PIXELS.astype(np.int64), "pixels in int64; give uint8"),
        ("image", PIXELS.astype(np.float32), "pixels from 0 to 255, where floating point means 0 to 1"),
        ("image", np.full((4, 4), np.nan), "where floating point means 0 to 1"),
        ("image", "https://example.org/a.jpg", "is an address. Fetch it first"),
        ("audio", SAMPLES, "samples without a rate: give sample_rate=…"),
        ("audio", (SAMPLES.reshape(2, -1), 8000), r"shape \(2, 2000\) is no mono sound"),
        ("audio", (np.zeros(9, np.int64), 8000), "samples in int64"),
    ],
)
def test_what_has_no_one_meaning_is_refused(modality, value, message):
    with pytest.raises(ValueError, match=message):
        raw_of(modality, value)


def test_a_list_is_read_item_by_item(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    values = Given(*listed("image", paths)[:1], "image", None)
    assert len(values) == 3
    paths[1].write_bytes(png(PIXELS))
    assert values[1] == png(PIXELS)
    with pytest.raises(FileNotFoundError):
        values[0]


@pytest.mark.parametrize(
    ("modality", "given", "count"),
    [
        ("image", np.stack([PIXELS] * 4), 4),
        ("image", (PIXELS, PIXELS), 2),
        ("audio", [(SAMPLES, 8000)] * 3, 3),
        ("text", ("a", "b"), 2),
        ("text", (letter for letter in "abc"), 3),
        ("text", {"a": 1}.keys(), 1),
        ("text", [], 0),
    ],
)
def test_lists_of_all_kinds(modality, given, count):
    items, is_one = listed(modality, given)
    assert (len(items), is_one) == (count, False)


@pytest.mark.parametrize("given", [7, 1.5, {"a": 1}, object()])
def test_what_is_neither_an_item_nor_a_list_is_refused(given):
    with pytest.raises(EncoderError, match="text: give an item or a list of items, not"):
        listed("text", given)
