"""What people see of items is made from what was decoded for the encoder, and never costs an item."""

import io

import numpy as np
import pytest
import torch
from extracting import Letters, items_of, sound_bytes
from PIL import Image

from fusemix.encoders import thumbnails
from fusemix.encoders.decoding import decode
from fusemix.encoders.preparing import read_window
from fusemix.encoders.reading import Task, cut_windows, windows_ahead
from fusemix.encoders.thumbnails import thumbnail_of
from fusemix.interfaces import Waveform


class Looks(Letters):
    """Takes pictures and sounds; of pictures it may want less than there is."""

    modality = "image"

    def __init__(self, least_side=None, modality="image", sample_rate=None):
        super().__init__()
        self.least_side, self.modality, self.sample_rate = least_side, modality, sample_rate

    def prepare(self, contents):
        return [torch.tensor([1.0]) for _ in contents]

    def collate(self, prepared):
        return torch.stack(prepared)


def opened(raw):
    return Image.open(io.BytesIO(raw))


def made(items, *encoders, thumbnails=True):
    window = read_window(
        items,
        range(len(items)),
        {str(number): one for number, one in enumerate(encoders)},
        {str(number): 4 for number in range(len(encoders))},
        thumbnails=thumbnails,
    )
    return window.thumbnails


@pytest.mark.parametrize(
    ("given", "expected"), [((900, 450), (384, 192)), ((500, 2000), (96, 384)), ((40, 30), (40, 30))]
)
def test_a_picture_is_made_smaller_as_webp_and_never_larger(picture, given, expected):
    large = picture(*given)
    small = opened(thumbnail_of(large))
    assert (small.format, small.mode, small.size) == ("WEBP", "RGB", expected)
    right = large.resize(expected, Image.Resampling.BOX)
    assert np.abs(np.asarray(small, dtype=float) - np.asarray(right, dtype=float)).mean() < 20  # of 255


def test_it_is_upright_and_what_the_encoder_saw(file_of):
    halves = Image.new("RGB", (80, 40), "red")
    halves.paste("blue", (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise: what is left comes up
    raw = file_of(halves, "JPEG", quality=95, exif=exif)
    small = opened(made(items_of("image", [raw]), Looks())[0])
    assert small.size == (40, 80) == decode("image", raw).size
    assert small.getpixel((20, 10))[2] > 200 > 60 > small.getpixel((20, 10))[0]
    assert small.getpixel((20, 70))[0] > 200 > 60 > small.getpixel((20, 70))[2]
    assert not small.getexif()


def test_of_what_is_decoded_twice_the_larger_is_taken_and_what_is_small_stays_small(picture, file_of):
    items = items_of("image", [file_of(picture(800, 600), "JPEG")])
    assert opened(made(items, Looks(20))[0]).size == (100, 75), "decoded at an eighth"
    assert opened(made(items, Looks(20), Looks())[0]).size == (384, 288)
    assert made(items, Looks(), thumbnails=False) == {}


def test_what_cannot_be_decoded_has_none_and_what_can_has_its_own(picture, file_of):
    raws = [file_of(picture(30, 20)), b"nothing", OSError(2, "gone"), file_of(picture(20, 30))]
    found = made(items_of("image", raws), Looks())
    assert {place: opened(raw).size for place, raw in found.items()} == {0: (30, 20), 3: (20, 30)}


def test_an_item_whose_thumbnail_fails_is_an_item_all_the_same(picture, file_of, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(thumbnails, "fitted", full)
    window = read_window(
        items_of("image", [file_of(picture(30, 20))]), range(1), {"it": Looks()}, {"it": 1}, thumbnails=True
    )
    assert (window.thumbnails, window.rejected, window.of["it"].places) == ({}, [], [[0]])


def test_of_a_sound_the_outline_is_kept_as_the_file_has_it_and_of_a_text_nothing():
    loud = np.concatenate([np.full(4000, 0.125), np.full(4000, 0.5)]).astype(np.float32)
    bars = np.frombuffer(thumbnail_of(Waveform(loud, 8000)), np.uint8)
    assert bars.tolist() == [128] * 28 + [255] * 28, "a quarter as loud is half as high"
    sounds = items_of("audio", [sound_bytes(0.5)])
    assert len(made(sounds, Looks(modality="audio", sample_rate=8000))[0]) == 56
    assert thumbnail_of("a text") is None


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_hand_over_the_same(picture, file_of, num_workers):
    raws = [file_of(picture(20 + number, 30)) for number in range(9)]
    sizes = {"it": torch.tensor(4).share_memory_()}
    pieces = cut_windows("image", [Task(range(9), ("it",), thumbnails=True)], sizes)
    windows = windows_ahead(
        items_of("image", raws), {"it": Looks()}, pieces, sizes, num_workers=num_workers, device=torch.device("cpu")
    )
    found = {}
    for piece, window in windows:
        found |= {piece.rows[place]: made for place, made in window.thumbnails.items()}
        if len(found) == 9:
            break
    assert found == {number: thumbnail_of(decode("image", raw)) for number, raw in enumerate(raws)}
