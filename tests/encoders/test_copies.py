"""Copies to a GPU beside its work, with made-up streams and tensors that hold nothing: what is done in which order."""

from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch
from extracting import Letters
from torch._subclasses import FakeTensorMode

from fusemix.encoders.copies import AHEAD, Copies, moved

GPU = torch.device("cuda", 0)


class Tokens(NamedTuple):
    inputs: dict
    lengths: list


class Stream:
    """Notes what is asked of it."""

    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def wait_stream(self, other):
        self.notes.append(f"{self.name} waits for {other.name}")

    def record_event(self):
        return Event(sum(note.startswith("encode") for note in self.notes), self.notes)


class Event:
    def __init__(self, number, notes):
        self.number, self.notes = number, notes

    def synchronize(self):
        self.notes.append(f"until {self.number} is encoded")


@pytest.fixture
def notes(monkeypatch):
    found = []

    @contextmanager
    def within(stream):
        found.append(f"copy on {stream.name}")
        yield

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("side", found))
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("main", found))
    return found


class There(Letters):
    """Its batches may be on its device; says where it found them."""

    copied_ahead = True


def encode_on(copies, encoder: Any, notes, count):
    def encode(batch):
        notes.append(f"encode {batch.device.type}")
        return batch

    with FakeTensorMode():
        for _ in range(count):
            copies.encoded(encoder, torch.ones(2), encode)


def test_each_batch_is_copied_beside_the_work_and_encoded_when_it_is_there(notes):
    encode_on(Copies(GPU), There(), notes, 2)
    assert notes == ["copy on side", "main waits for side", "encode cuda"] * 2


def test_a_batch_is_held_until_it_is_encoded_and_python_runs_no_further_ahead(notes):
    copies = Copies(GPU)
    encode_on(copies, There(), notes, AHEAD + 3)
    assert [note for note in notes if note.startswith("until")] == ["until 1 is encoded", "until 2 is encoded"]
    assert notes.index("until 1 is encoded") == 3 * (AHEAD + 1)
    del notes[:]
    copies.release()
    assert notes == [f"until {number} is encoded" for number in range(3, AHEAD + 4)]


def test_a_batch_that_cannot_be_encoded_is_held_as_well(notes):
    def fails(batch):
        raise torch.OutOfMemoryError

    encoder: Any = There()
    copies = Copies(GPU)
    with FakeTensorMode(), pytest.raises(torch.OutOfMemoryError):
        copies.encoded(encoder, torch.ones(2), fails)
    del notes[:]
    copies.release()
    assert len(notes) == 1


@pytest.mark.parametrize(("device", "encoder"), [(GPU, Letters()), (torch.device("cpu"), There())])
def test_other_devices_and_encoders_that_do_not_say_so_get_the_batch_as_it_is(notes, device, encoder):
    batch = torch.ones(2)
    assert Copies(device).encoded(encoder, batch, lambda same: same) is batch
    assert not notes


def test_tensors_move_wherever_they_stand_and_the_rest_stays():
    batch = {"a": torch.ones(2), "b": [torch.ones(1), "word", (torch.ones(1), 3)]}
    found = moved(Tokens(batch, [1, 2]), torch.device("meta"))
    assert isinstance(found, Tokens)
    assert found.lengths == [1, 2]
    assert found.inputs["b"][1] == "word"
    assert isinstance(found.inputs["b"][2], tuple)
    assert {one.device.type for one in (found.inputs["a"], found.inputs["b"][0], found.inputs["b"][2][0])} == {"meta"}


@pytest.mark.parametrize(
    ("family", "model", "options"),
    [
        ("transformers_image", "siglip2", {"pooling": "pooler"}),
        ("transformers_image", "dinov3", {}),
        ("transformers_text", "bert", {"pooling": "mean"}),
        ("transformers_audio", "wavlm", {}),
        ("transformers_audio", "clap", {"pooling": "pooler"}),
        ("timm", "timm_vit", {}),
        ("open_clip_image", "open_clip", {}),
        ("open_clip_text", "open_clip", {}),
    ],
)
def test_batches_of_the_families_that_say_so_are_made_of_what_moves(encoder, picture, sound, family, model, options):
    built = encoder(family, model, **options)
    assert built.copied_ahead
    contents = {
        "image": [picture(40, 30)],
        "audio": [sound(1.0, built.sample_rate or 1)],
        "text": ["a dog"],
    }[built.modality]
    batch = built.collate(built.prepare(contents))
    assert {one.device.type for one in tensors_in(moved(batch, torch.device("meta")))} == {"meta"}


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [one for inner in value for one in tensors_in(inner)] if isinstance(value, list | tuple) else []
